// Times raw passes on axograd's device: by two timestamps around a pass, or without timestamps by the host's clock.

import { createWebGpuBackend } from "../../dist/src/backend/webgpu/backend.js";
import { median } from "./clock.mjs";

const ROUNDS = 5;
const ROUND_MS = 20;
const MOST_REPEATS = 50;

/** A device opened like axograd's, with timestamps. */
export async function openDevice() {
  const { device, adapter } = await createWebGpuBackend({ profile: true });
  return { device, isSoftware: adapter.isSoftware };
}

export function storage(device, bytes) {
  const { STORAGE, COPY_DST, COPY_SRC } = GPUBufferUsage;
  return device.createBuffer({ size: Math.ceil(bytes / 16) * 16, usage: STORAGE | COPY_DST | COPY_SRC });
}

export function pipelineOf(device, code) {
  return device.createComputePipeline({ layout: "auto", compute: { module: device.createShaderModule({ code }) } });
}

/** `resources`: buffers or pieces of buffers, in the order of their bindings. */
export function bindGroup(device, pipeline, resources) {
  const entries = resources.map((resource, binding) => ({
    binding,
    resource: "buffer" in resource ? resource : { buffer: resource },
  }));
  return device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
}

/** A function that records one dispatch into a pass. */
export function dispatch(pipeline, group, ...grid) {
  return (pass) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...grid);
  };
}

export class GpuClock {
  #device;
  #queries = null;

  constructor(device) {
    this.#device = device;
    if (!device.features.has("timestamp-query")) return;
    const { QUERY_RESOLVE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
    this.#queries = {
      set: device.createQuerySet({ type: "timestamp", count: 2 }),
      resolved: device.createBuffer({ size: 16, usage: QUERY_RESOLVE | COPY_SRC }),
      read: device.createBuffer({ size: 16, usage: MAP_READ | COPY_DST }),
    };
  }

  /** Milliseconds of one pass. */
  async once(record) {
    const encoder = this.#device.createCommandEncoder();
    const queries = this.#queries;
    const stamps = { querySet: queries?.set, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
    const pass = encoder.beginComputePass(queries === null ? {} : { timestampWrites: stamps });
    record(pass);
    pass.end();
    if (queries !== null) {
      encoder.resolveQuerySet(queries.set, 0, 2, queries.resolved, 0);
      encoder.copyBufferToBuffer(queries.resolved, 0, queries.read, 0, 16);
    }
    const begin = performance.now();
    this.#device.queue.submit([encoder.finish()]);
    if (queries === null) {
      await this.#device.queue.onSubmittedWorkDone();
      return performance.now() - begin;
    }
    await queries.read.mapAsync(GPUMapMode.READ);
    const [from, to] = new BigUint64Array(queries.read.getMappedRange().slice(0));
    queries.read.unmap();
    return Number(to - from) / 1e6;
  }

  /** Median milliseconds of one run of `record`, from passes with many runs. */
  async time(record) {
    const first = await this.once(record);
    const repeats = Math.max(1, Math.min(MOST_REPEATS, Math.ceil(ROUND_MS / Math.max(first, 1e-3))));
    const many = (pass) => {
      for (let k = 0; k < repeats; k++) record(pass);
    };
    const times = [];
    for (let round = 0; round < ROUNDS; round++) times.push((await this.once(many)) / repeats);
    return median(times);
  }
}
