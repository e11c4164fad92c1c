// Several GPUs of one name: whether each is opened by its index. Its memory shows which card it is.

import { createWebGpuBackend, listAdapters } from "../../../dist/src/backend/webgpu/backend.js";
import { nvidiaMemory } from "../nvidiaSmi.mjs";

/** What WebGPU promises in one buffer. */
const BYTES = 2 ** 28;

export async function run({ row }) {
  const adapters = await listAdapters({ identify: true });
  const equal = adapters.filter(({ name }) => adapters.filter((one) => one.name === name).length > 1);
  if (equal.length === 0) row({ name: "equal adapters", skipped: "none" });
  for (const { index, name, pci } of equal) {
    const about = { name: "equal adapter", index, adapter: name, pci: pci ?? "unknown" };
    try {
      const backend = await createWebGpuBackend({ adapter: index });
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
      const buffer = backend.device.createBuffer({ size: BYTES, usage });
      backend.device.queue.writeBuffer(buffer, 0, new Uint8Array(BYTES));
      await backend.device.queue.onSubmittedWorkDone();
      row({ ...about, memory: nvidiaMemory() });
      buffer.destroy();
      await backend.dispose();
    } catch (error) {
      row({ ...about, error: error.message });
    }
  }
}
