// The shader of the last step of reductions over rows and of the one-row phases after it (kernels/tail.wgsl).

import type { Binding, PanelLayout } from "../program.ts";
import { PARTIALS_AT_ONCE, PhasePrinter } from "./emit.ts";
import type { LegalPhase } from "./legalize.ts";
import { panelsAtOnce, panelVecs } from "./panels.ts";
import type { Combine, TailPlan } from "./plan.ts";
import { laneReductions, privates, rowReduction, rowReductions } from "./reductions.ts";
import { type Shader, ShaderWriter, type SlabOf } from "./shader.ts";

/** Slots of kernels/tail.wgsl. */
const SLOTS = 64;
/** What a step has written is there for all threads of the workgroup in the next one. */
const NEXT_STEP = ["storageBarrier();", "workgroupBarrier();"];

export function tailShader(plan: TailPlan, bindings: readonly Binding[], layout: PanelLayout, slabOf: SlabOf): Shader {
  const writer = new ShaderWriter(plan, bindings, layout, slabOf);
  const most = Math.max(0, ...plan.phases.map((p) => laneReductions(p, writer).count));
  const mostRows = Math.max(0, ...plan.phases.map((p) => rowReductions(p, writer).length));
  const phases = plan.phases.map((p, k) => phaseFunction(p, k, writer));
  const steps = [
    ...(plan.combines.length > 0 ? [combineStep(plan, writer)] : []),
    ...plan.phases.map((p, k) => phaseStep(p, k, writer)),
  ].flatMap((step) => [...step, ...NEXT_STEP]);
  const source = [
    privates("rowsValue", mostRows),
    privates("lanesValue", most),
    ...plan.combines.map((c, k) => gatherFunction(c, k, writer)),
    ...phases,
    "fn run(t: u32, group: u32, count: u32) {",
    ...steps.map((line) => `  ${line}`),
    "}",
  ];
  const constants = { PANEL_VECS: panelVecs(layout) };
  return writer.finish("tail", constants, { steps: source.join("\n") });
}

/** `gather<k>`: what one slot has of a reduction: every SLOTS-th partial result, many of them under way at once. */
function gatherFunction({ partials, count, how, perLane }: Combine, k: number, writer: ShaderWriter): string {
  const name = how.toUpperCase();
  const atOnce = Math.min(PARTIALS_AT_ONCE, Math.ceil(count / SLOTS));
  const reads = Array.from({ length: atOnce }, (_, j) => {
    const row = `min(i + ${j * SLOTS}u, ${count - 1}u)`;
    const at = perLane ? `(${row} * params.panels + panel) * PANEL_VECS + t % STRIDE` : row;
    return `    let part${j} = read${writer.slab(partials)}(${writer.at(partials)} + ${at});`;
  });
  const combines = reads.map((_, j) => {
    const part = `select(identityOf(${name}), part${j}, i + ${j * SLOTS}u < ${count}u)`;
    return `    all = combine(${name}, all, ${part});`;
  });
  return [
    `fn gather${k}(t: u32, panel: u32) -> vec4<f32> {`,
    `  var all = identityOf(${name});`,
    `  for (var i = t / STRIDE; i < ${count}u; i += ${atOnce * SLOTS}u) {`,
    ...reads,
    ...combines,
    "  }",
    "  return all;",
    "}",
  ].join("\n");
}

/**
 * All reductions over rows: what slots have, and then the slots of one after another. One workgroup for all panels takes several of
 * them at once.
 */
function combineStep({ combines, oneGroup }: TailPlan, writer: ShaderWriter): string[] {
  const block = oneGroup ? panelsAtOnce(4, writer.layout) : 1;
  const inBlock = Array.from({ length: block }, (_, p) => p);
  const results = combines.map((c) =>
    rowReduction({ binding: c.target, how: c.how, accumulate: c.accumulate }, writer),
  );
  const perLane = combines.flatMap((c, k) => (c.perLane ? [k] : []));
  const plain = combines.flatMap((c, k) => (c.perLane ? [] : [k]));
  const reduced = (k: number, name: string): string =>
    `let all${name} = reduceOverSlots(t, ${results[k]!.how}, part${name});`;
  const ofPanels = [
    `for (var first = group; first < params.panels; first += ${block}u * count) {`,
    ...perLane.flatMap((k) =>
      inBlock.map((p) => `  let part${k}_${p} = gather${k}(t, min(first + ${p}u * count, params.panels - 1u));`),
    ),
    ...perLane.flatMap((k) =>
      inBlock.flatMap((p) => [
        `  ${reduced(k, `${k}_${p}`)}`,
        `  if (t < PANEL_VECS && first + ${p}u * count < params.panels) {`,
        `    ${results[k]!.storeLanes(`all${k}_${p}`, `(first + ${p}u * count) * PANEL_VECS + t`)}`,
        "  }",
      ]),
    ),
    "}",
  ];
  return [
    ...(perLane.length > 0 ? ofPanels : []),
    ...plain.map((k) => `let part${k} = gather${k}(t, 0u);`),
    ...plain.flatMap((k) => [
      reduced(k, `${k}`),
      `if (t == 0u) { ${results[k]!.storeNumber(`combineComponents(${results[k]!.how}, all${k})`)} }`,
    ]),
  ];
}

function phaseFunction(phase: LegalPhase, k: number, writer: ShaderWriter): string {
  const statements = new PhasePrinter(phase, writer).statements();
  // With one row a reduction over rows is a store.
  const reductions = rowReductions(phase, writer).map((r, j) => {
    const store =
      phase.lanes === "batch" ? r.storeLanes(`rowsValue${j}`, "sampleAt") : r.storeNumber(`rowsValue${j}.x`);
    return `  ${store}`;
  });
  const parameter = phase.lanes === "batch" ? "tile: Tile" : "at: u32";
  return [`fn phase${k}(${parameter}) {`, statements, ...reductions, "}"].join("\n");
}

function phaseStep(phase: LegalPhase, k: number, writer: ShaderWriter): string[] {
  if (phase.lanes === "none") return [`if (t == 0u) { phase${k}(0u); }`];
  const { stores } = laneReductions(phase, writer, false);
  const sums = stores.map((_, j) => `sum${k}_${j}`);
  return [
    ...sums.map((sum) => `var ${sum} = vec4<f32>(0.0);`),
    // One workgroup for all panels: its threads take neighbouring vec4s of lanes.
    "for (var vec = t; group + vec / PANEL_VECS * count < params.panels; vec += LANE_THREADS) {",
    `  phase${k}(Tile(0u, group + vec / PANEL_VECS * count, vec % PANEL_VECS));`,
    ...sums.map((sum, j) => `  ${sum} += lanesValue${j};`),
    "}",
    ...stores.flatMap((store, j) => [
      `let total${k}_${j} = sumOverLanes(t, STRIDE, reduceOverSlots(t, SUM, ${sums[j]}));`,
      `if (t == 0u) { ${store(`total${k}_${j}`, "0u")} }`,
    ]),
  ];
}
