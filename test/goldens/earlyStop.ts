// A fault of the reference that axograd does not share: a sample that has *finished* has a step of size 0, which counts as below
// dt_min, so the whole batch stops though others still run.

import type { NpyArray } from "../../src/io/npy.ts";
import { STATUS_CODES } from "./arrays.ts";

type References = ReadonlyMap<string, NpyArray>;

/** Counts that go on growing where the reference has stopped: its own are lower bounds. */
export const COUNTS_UNTIL_STOP: readonly string[] = ["n_steps", "n_accepted", "n_f_evals"];

/**
 * Whether the reference's own trace shows that fault: a status of dt_min, and only for samples that were not running any more in the
 * iteration it stopped in. A sample that fails while it runs is a failure here as well.
 */
export function stopsForFinishedSample(references: References): boolean {
  const status = references.get("status")?.data;
  const running = references.get("trace_running")?.data;
  if (!status || !running) return false;
  const last = running.subarray(running.length - status.length);
  const codes = Array.from(status);
  return (
    codes.includes(STATUS_CODES.dtMin) &&
    codes.every((code, s) => code === STATUS_CODES.success || (code === STATUS_CODES.dtMin && last[s] === 0))
  );
}

/** The references of such a case with the status that the fault hides: nobody fails. What was not computed is NaN already. */
export function withoutFault(references: References): References {
  const status = references.get("status")!;
  return new Map([...references, ["status", { ...status, data: status.data.map(() => STATUS_CODES.success) }]]);
}
