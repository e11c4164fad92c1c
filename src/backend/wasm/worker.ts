// A thread of the pool: instantiates the module on the shared memory and serves jobs inside WASM.

import { parentPort, workerData } from "node:worker_threads";
import { instantiate } from "./module.ts";
import { raiseFailure, type WorkerStart } from "./pool.ts";

function serve(start: WorkerStart): void {
  const { workerLoop } = instantiate(start.module, start.memory, start.dtype);
  parentPort?.postMessage("ready");
  try {
    workerLoop(start.control, start.thread);
  } catch (error) {
    start.failures.postMessage(`${error}`);
    raiseFailure(start.memory, start.control);
  }
}

serve(workerData as WorkerStart);
