// Whether quads are what kernels take them for: four threads with neighbouring indices. WGSL does not promise it, and subgroups of fewer than four
// threads, or workgroups laid out in squares, would give wrong gradients without a word. So a device is asked once: threads exchange their
// indices.

import type { AdapterInfo } from "./dawn.ts";
import { togglesText } from "./toggles.ts";

/** As many threads as the largest workgroups of the kernels. */
const THREADS = 256;

const SHADER = `enable subgroups;
@group(0) @binding(0) var<storage, read_write> swapped: array<vec2<u32>, ${THREADS}>;
@compute @workgroup_size(${THREADS})
fn main(@builtin(local_invocation_index) t: u32) {
  swapped[t] = vec2<u32>(quadSwapX(t), quadSwapY(t));
}`;

/** Answers of adapters that were asked in this process, by name, driver and toggles. */
const known = new Map<string, Promise<boolean>>();

/** Whether quads of a device with the feature "subgroups" are threads 4k … 4k + 3. Counts among no objects of the device. */
export function hasNeighbourQuads(gpu: GPUDevice, { name, driver, toggles }: AdapterInfo): Promise<boolean> {
  const key = [name, driver, togglesText(toggles)].join("|");
  const answer = known.get(key) ?? ask(gpu).then(areNeighbours);
  known.set(key, answer);
  // A device that was lost meanwhile says nothing about the next one.
  answer.catch(() => known.delete(key));
  return answer;
}

/** @param swapped  for each thread t the indices that it got from its neighbours in x and y: t ^ 1 and t ^ 2 */
export function areNeighbours(swapped: Uint32Array): boolean {
  return swapped.length === 2 * THREADS && swapped.every((from, k) => from === ((k >> 1) ^ (1 << (k & 1))));
}

async function ask(gpu: GPUDevice): Promise<Uint32Array> {
  const size = 8 * THREADS;
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const result = gpu.createBuffer({ label: "quads", size, usage: STORAGE | COPY_SRC });
  const staging = gpu.createBuffer({ label: "quads, staging", size, usage: MAP_READ | COPY_DST });
  try {
    const module = gpu.createShaderModule({ label: "quads", code: SHADER });
    const pipeline = gpu.createComputePipeline({
      label: "quads",
      layout: "auto",
      compute: { module, entryPoint: "main" },
    });
    const layout = pipeline.getBindGroupLayout(0);
    const group = gpu.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: result } }] });
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(1);
    pass.end();
    encoder.copyBufferToBuffer(result, 0, staging, 0, size);
    gpu.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    return new Uint32Array(staging.getMappedRange()).slice();
  } finally {
    staging.destroy();
    result.destroy();
  }
}
