// A worker thread of the pool: instantiates the module on the shared memory and serves jobs inside WASM.

import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { extendTable, instantiate } from "./module.ts";
import { type GeneratedModule, raiseFailure, type WorkerStart } from "./pool.ts";

function serve({ module, memory, dtype, control, thread, port }: WorkerStart): void {
  let installed = 0;
  // Called from within WASM. A worker never returns to its event loop, so messages are received synchronously.
  const install = (count: number): void => {
    for (; installed < count; installed++) {
      const received = receiveMessageOnPort(port) as { readonly message: GeneratedModule } | undefined;
      if (!received) throw new Error(`expected ${count} modules of generated code, got ${installed}`);
      extendTable(table, received.message.module, received.message.nFunctions, memory);
    }
  };
  const { table, workerLoop } = instantiate(module, memory, dtype, install);
  parentPort?.postMessage("ready");
  try {
    workerLoop(control, thread);
  } catch (error) {
    port.postMessage(`${error}`);
    raiseFailure(memory, control);
  }
}

serve(workerData as WorkerStart);
