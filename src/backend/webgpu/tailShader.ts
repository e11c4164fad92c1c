// The shader of the last step of reductions over rows and of the one-row phases after it (kernels/tail.wgsl).

import type { Binding, PanelLayout } from "../program.ts";
import { PhasePrinter } from "./emit.ts";
import { panelVecs } from "./layout.ts";
import type { LegalPhase } from "./legalize.ts";
import type { Combine, TailPlan } from "./plan.ts";
import { laneReductions, privates, rowReduction, rowReductions } from "./reductions.ts";
import { type Shader, ShaderWriter, type SlabOf } from "./shader.ts";

const EACH_PANEL = "for (var panel = group; panel < params.panels; panel += count) {";
/** What a step has written is there for all threads of the workgroup in the next one. */
const NEXT_STEP = ["storageBarrier();", "workgroupBarrier();"];

export function tailShader(plan: TailPlan, bindings: readonly Binding[], layout: PanelLayout, slabOf: SlabOf): Shader {
  const writer = new ShaderWriter(plan, bindings, layout, slabOf);
  const most = Math.max(0, ...plan.phases.map((p) => laneReductions(p, writer).count));
  const mostRows = Math.max(0, ...plan.phases.map((p) => rowReductions(p, writer).length));
  const phases = plan.phases.map((p, k) => phaseFunction(p, k, writer));
  const steps = [
    ...plan.combines.map((c) => combineStep(c, writer)),
    ...plan.phases.map((p, k) => phaseStep(p, k, writer)),
  ].flatMap((step) => [...step, ...NEXT_STEP]);
  const source = [
    privates("rowsValue", mostRows),
    privates("lanesValue", most),
    ...phases,
    "fn run(t: u32, group: u32, count: u32) {",
    ...steps.map((line) => `  ${line}`),
    "}",
  ];
  const constants = { PANEL_VECS: panelVecs(layout) };
  return writer.finish("tail", constants, { steps: source.join("\n") });
}

/** Each slot adds every SLOTS-th partial result, then the slots are reduced. */
function combineStep(c: Combine, writer: ShaderWriter): string[] {
  const result = rowReduction({ binding: c.target, how: c.how, accumulate: c.accumulate }, writer);
  const { how } = result;
  const read = (offset: string): string => `read${writer.slab(c.partials)}(${writer.at(c.partials)} + ${offset})`;
  const gather = (offset: string): string[] => [
    `  var part = identityOf(${how});`,
    `  for (var i = t / STRIDE; i < ${c.count}u; i += SLOTS) {`,
    `    part = combine(${how}, part, ${read(offset)});`,
    "  }",
    `  let total = reduceOverSlots(t, ${how}, part);`,
  ];
  if (!c.perLane) {
    const store = result.storeNumber(`combineComponents(${how}, total)`);
    return ["{", ...gather("i"), `  if (t == 0u) { ${store} }`, "}"];
  }
  return [
    EACH_PANEL,
    ...gather("(i * params.panels + panel) * PANEL_VECS + t % STRIDE"),
    `  if (t < PANEL_VECS) { ${result.storeLanes("total", "panel * PANEL_VECS + t")} }`,
    "}",
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
    EACH_PANEL,
    "  if (t < PANEL_VECS) {",
    `    phase${k}(Tile(0u, panel, t));`,
    ...sums.map((sum, j) => `    ${sum} += lanesValue${j};`),
    "  }",
    "}",
    ...stores.flatMap((store, j) => [
      `let total${k}_${j} = sumOverLanes(t, STRIDE, ${sums[j]});`,
      `if (t == 0u) { ${store(`total${k}_${j}`, "0u")} }`,
    ]),
  ];
}
