// Overheads without work: dispatches with and without a barrier between them, submits, and reading back.

import { median } from "../clock.mjs";
import { bindGroup, dispatch, GpuClock, openDevice, pipelineOf, storage } from "../gpuClock.mjs";

const COUNT = 1000;
const QUICK_COUNT = 100;
const ROUND_TRIPS = 21;
const QUANTUM_NS = 65536;

export async function run({ quick, row }) {
  const { device } = await openDevice();
  const count = quick ? QUICK_COUNT : COUNT;
  const clock = new GpuClock(device);
  const data = storage(device, 2 ** 20);
  row(await tinyPass(device, clock, data));
  for (const [name, access] of [
    ["empty dispatch, nothing written", "read"],
    ["empty dispatch after one that may write", "read_write"],
  ]) {
    const record = repeated(emptyDispatch(device, data, access), count);
    await clock.once(record);
    const deviceUs = (1000 * (await clock.once(record))) / count;
    row({ name, deviceUs, wallUs: (await submitsUs(device, record)) / count });
  }
  const empty = emptyDispatch(device, data, "read_write");
  for (const each of [1, 16, 64]) {
    const record = repeated(empty, each);
    const submits = Math.ceil(count / each);
    const wallUs = (await submitsUs(device, ...Array(submits).fill(record))) / (submits * each);
    row({ name: `dispatch, ${each} per submit`, wallUs });
  }
  for (const bytes of [4096, 4 * 2 ** 20]) {
    row({ name: `submit, copy and map of ${bytes} B`, wallUs: await roundTripUs(device, empty, bytes) });
  }
}

/** A kernel that binds a buffer and does nothing. */
function emptyDispatch(device, data, access) {
  const pipeline = pipelineOf(
    device,
    `@group(0) @binding(0) var<storage, ${access}> a: array<u32>;
@group(0) @binding(1) var<uniform> never: vec4<u32>;
var<private> kept: u32;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (never.x == 77u) { ${access === "read" ? "kept = a[id.x];" : "a[id.x] = 1u;"} }
}`,
  );
  const uniform = device.createBuffer({ size: 16, usage: GPUBufferUsage.UNIFORM });
  return dispatch(pipeline, bindGroup(device, pipeline, [data, uniform]), 1);
}

function repeated(record, count) {
  return (pass) => {
    for (let k = 0; k < count; k++) record(pass);
  };
}

/** Microseconds until all passes are done, each with its own submit. */
async function submitsUs(device, ...records) {
  await device.queue.onSubmittedWorkDone();
  const begin = performance.now();
  for (const record of records) device.queue.submit([passOf(device, record).finish()]);
  await device.queue.onSubmittedWorkDone();
  return 1000 * (performance.now() - begin);
}

function passOf(device, record) {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  record(pass);
  pass.end();
  return encoder;
}

async function roundTripUs(device, record, bytes) {
  const source = storage(device, bytes);
  const read = device.createBuffer({ size: bytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const times = [];
  for (let k = 0; k < ROUND_TRIPS; k++) {
    const begin = performance.now();
    const encoder = passOf(device, record);
    encoder.copyBufferToBuffer(source, 0, read, 0, bytes);
    device.queue.submit([encoder.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    read.getMappedRange().slice(0);
    read.unmap();
    times.push(1000 * (performance.now() - begin));
  }
  return median(times);
}

/** If all durations are multiples of 65,536 ns, timestamps are quantised, also those of kernels. */
async function tinyPass(device, clock, data) {
  const record = emptyDispatch(device, data, "read_write");
  const durationsNs = [];
  for (let k = 0; k < 10; k++) durationsNs.push(Math.round(1e6 * (await clock.once(record))));
  const isQuantised = device.features.has("timestamp-query") && durationsNs.every((ns) => ns % QUANTUM_NS === 0);
  const name = `shortest pass${isQuantised ? "; TIMESTAMPS ARE QUANTISED" : ""}`;
  return { name, deviceUs: median(durationsNs) / 1000, isQuantised, durationsNs };
}
