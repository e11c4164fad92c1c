// The shaders of pointwise phases: kernels/map.wgsl (rows × lanes) and kernels/vector.wgsl (plain vectors).

import type { Binding, BindingId, PanelLayout } from "../program.ts";
import { PhasePrinter } from "./emit.ts";
import { panelVecs } from "./panels.ts";
import type { PointwisePlan } from "./plan.ts";
import { laneReductions, privates, type RowReduction, rowReductions } from "./reductions.ts";
import { type Shader, ShaderWriter, type SlabOf } from "./shader.ts";

export function pointwiseShader(
  plan: PointwisePlan,
  bindings: readonly Binding[],
  layout: PanelLayout,
  slabOf: SlabOf,
): Shader {
  const writer = new ShaderWriter(plan, bindings, layout, slabOf, plan.kernel === "vector" ? ["rows", "groups"] : []);
  return plan.kernel === "map" ? mapShader(plan, writer) : vectorShader(plan, writer);
}

function mapShader(plan: PointwisePlan, writer: ShaderWriter): Shader {
  const { phase } = plan;
  const rows = rowReductions(phase, writer);
  const lanes = laneReductions(phase, writer, false);
  const body = [
    privates("rowsValue", rows.length),
    privates("rowsTotal", rows.length),
    lanes.declarations,
    privates("lanesTotal", lanes.count),
    "fn body(tile: Tile) {",
    new PhasePrinter(phase, writer).statements(),
    "}",
    resetRows(rows),
    fn(
      "collectRows()",
      rows.map((r, k) => `rowsTotal${k} = combine(${r.how}, rowsTotal${k}, rowsValue${k});`),
    ),
    finishMapRows(plan, rows, writer),
    fn(
      "resetLanes()",
      lanes.stores.map((_, k) => `lanesTotal${k} = vec4<f32>(0.0);`),
    ),
    fn(
      "collectLanes()",
      lanes.stores.map((_, k) => `lanesTotal${k} += lanesValue${k};`),
    ),
    fn(
      "finishLanes(t: u32, row: u32)",
      lanes.stores.flatMap((store, k) => [
        `let total${k} = sumOverLanes(t, PANEL_VECS, lanesTotal${k});`,
        `if (row < ROWS && t % PANEL_VECS == 0u) { ${store(`total${k}`, "row")} }`,
      ]),
    ),
  ];
  const constants = {
    ROWS: phase.rows,
    PANEL_VECS: panelVecs(writer.layout),
    ROWS_PER_THREAD: plan.itemsPerThread,
  };
  return writer.finish("map", constants, { body: body.join("\n") });
}

/** The slots of a workgroup reduced: to the result where one workgroup has all rows, else to a partial result. */
function finishMapRows(plan: PointwisePlan, rows: readonly RowReduction[], writer: ShaderWriter): string {
  const lines = rows.flatMap((r, k) => {
    const total = `total${k}`;
    const partials = plan.partials[k] ?? null;
    const store =
      partials === null
        ? r.storeLanes(total, "panel * PANEL_VECS + t")
        : writePartial(writer, partials, "(group * params.panels + panel) * PANEL_VECS + t", total);
    return [`let ${total} = reduceOverSlots(t, ${r.how}, rowsTotal${k});`, `if (t < PANEL_VECS) { ${store} }`];
  });
  return fn("finishRows(t: u32, panel: u32, group: u32)", lines);
}

function vectorShader(plan: PointwisePlan, writer: ShaderWriter): Shader {
  const { phase } = plan;
  const rows = rowReductions(phase, writer);
  const collect = rows.map((r, k) => {
    // The last vec4 may reach past the rows.
    const masked = `select(identityOf(${r.how}), rowsValue${k}, vec4<u32>(4u * at) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(params.rows))`;
    return `rowsTotal${k} = combine(${r.how}, rowsTotal${k}, ${masked});`;
  });
  const finish = rows.flatMap((r, k) => {
    const partials = plan.partials[k] ?? null;
    const store =
      partials === null
        ? r.storeNumber(`combineComponents(${r.how}, total${k})`)
        : writePartial(writer, partials, "group", `total${k}`);
    return [`let total${k} = reduceOverSlots(t, ${r.how}, rowsTotal${k});`, `if (t == 0u) { ${store} }`];
  });
  const body = [
    privates("rowsValue", rows.length),
    privates("rowsTotal", rows.length),
    "fn body(at: u32) {",
    new PhasePrinter(phase, writer).statements(),
    "}",
    resetRows(rows),
    fn("collectRows(at: u32)", collect),
    fn("finishRows(t: u32, group: u32)", finish),
  ];
  const constants = { VECS_PER_THREAD: plan.itemsPerThread };
  return writer.finish("vector", constants, { body: body.join("\n") });
}

function resetRows(rows: readonly RowReduction[]): string {
  return fn(
    "resetRows()",
    rows.map((r, k) => `rowsTotal${k} = identityOf(${r.how});`),
  );
}

function writePartial(writer: ShaderWriter, partials: BindingId, offset: string, total: string): string {
  return `write${writer.slab(partials)}(${writer.at(partials)} + ${offset}, ${total});`;
}

/** A WGSL function without a result. */
function fn(signature: string, lines: readonly string[]): string {
  return [`fn ${signature} {`, ...lines.map((line) => `  ${line}`), "}"].join("\n");
}
