// Ceilings of memory and cache: a copy, and gathers of whole rows at random places, as in products.

import { bindGroup, dispatch, GpuClock, openDevice, pipelineOf, storage } from "../gpuClock.mjs";

const MIB = 2 ** 20;
const COPIES = [512 * MIB, 32 * MIB, 16 * MIB, 8 * MIB];
const SOFTWARE_COPIES = [8 * MIB];
/** Longest dimension of a grid. */
const GRID_WIDTH = 32768;
/** vec4s per row, rows: panels of 8 and 16 lanes of the tutorial's network; 4 and 16 such panels; rows that fit L1. */
const GATHERS = [
  [2, 47521],
  [4, 47521],
  [4, 190084],
  [4, 760336],
  [2, 1000],
];
const GROUPS = 4096;
const SOFTWARE_GROUPS = 8;
const TRIPS = 64;

export async function run({ row }) {
  const { device, isSoftware } = await openDevice();
  const groups = isSoftware ? SOFTWARE_GROUPS : GROUPS;
  const clock = new GpuClock(device);
  for (const bytes of isSoftware ? SOFTWARE_COPIES : COPIES) {
    const gbPerS = (2 * bytes) / (await copyMs(device, clock, bytes)) / 1e6;
    row({ name: `copy of ${bytes / MIB} MiB`, gbPerS });
  }
  for (const [width, rows] of GATHERS) {
    const gbPerS = (groups * 256 * TRIPS * 4 * 16) / (await gatherMs(device, clock, { width, rows, groups })) / 1e6;
    row({ name: `gather of ${16 * width} B out of ${Math.round((16 * width * rows) / 1000)} kB`, gbPerS });
  }
}

async function copyMs(device, clock, bytes) {
  const pipeline = pipelineOf(
    device,
    `@group(0) @binding(0) var<storage, read> a: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> b: array<vec4<u32>>;
@compute @workgroup_size(256) fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32) {
  let i = (group.x + group.y * groups.x) * 256u + thread;
  b[i] = a[i];
}`,
  );
  const [a, b] = [storage(device, bytes), storage(device, bytes)];
  const groups = bytes / 4096;
  const grid = groups > GRID_WIDTH ? [GRID_WIDTH, groups / GRID_WIDTH] : [groups, 1];
  const ms = await clock.time(dispatch(pipeline, bindGroup(device, pipeline, [a, b]), ...grid));
  a.destroy();
  b.destroy();
  return ms;
}

/** Each thread reads its part of four rows per trip, at places of a linear congruential sequence. */
async function gatherMs(device, clock, { width, rows, groups }) {
  const load = (k) => `seed = seed * 1664525u + 1013904223u;
    let g${k} = x[((seed >> 8u) % ${rows}u) * ${width}u + id.x % ${width}u];`;
  const pipeline = pipelineOf(
    device,
    `@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  var sum = vec4<f32>(0.0);
  var seed = (id.x / ${width}u) * 2654435761u + 12345u;
  for (var trip = 0u; trip < ${TRIPS}u; trip++) {
    ${[0, 1, 2, 3].map(load).join("\n    ")}
    sum += (g0 + g1) + (g2 + g3);
  }
  // Never true; without a store the compiler would remove the loads.
  if (sum.x == 1.2345) { y[id.x] = sum; }
}`,
  );
  const buffers = [storage(device, 16 * width * rows), storage(device, 16 * 256 * groups)];
  const ms = await clock.time(dispatch(pipeline, bindGroup(device, pipeline, buffers), groups));
  for (const buffer of buffers) buffer.destroy();
  return ms;
}
