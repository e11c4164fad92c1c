// The exports of the module. Every thread has its own instance on the same shared memory, so there is no mutable static data.

import { submit, workerLoop } from "./executor";

export * from "./elementary";
export { heapBase } from "./memory";

export function submitF32(control: usize, image: usize): bool {
  return submit<f32>(control, image);
}

export function submitF64(control: usize, image: usize): bool {
  return submit<f64>(control, image);
}

export function workerLoopF32(control: usize, thread: usize): void {
  workerLoop<f32>(control, thread);
}

export function workerLoopF64(control: usize, thread: usize): void {
  workerLoop<f64>(control, thread);
}
