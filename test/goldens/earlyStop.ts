// Where axograd goes on and the reference stops: three of the differences in docs/differences.md. They are recognised from the reference's own
// trace, so that whatever else differs still fails.

import type { NpyArray } from "../../src/io/npy.ts";
import { STATUS_CODES } from "./arrays.ts";

type References = ReadonlyMap<string, NpyArray>;

/** Counts that go on growing where the reference has stopped: its own are lower bounds. */
export const COUNTS_UNTIL_STOP: readonly string[] = ["n_steps", "n_accepted", "n_f_evals"];

/** What a reference that stops early is compared as. */
export interface EarlyStop {
  /** The references with the status that axograd gives. What was not computed is NaN already. */
  readonly references: References;
  /** Whether axograd goes on where the reference stopped. */
  readonly goesOn: boolean;
  readonly notes: readonly string[];
}

/** Faults of the reference in one sample, by what they are called in a line of results. */
const NOTES = {
  finishedBelowDtMin: "the reference stops early there: a finished sample counts as below dt_min",
  finishedWithLastStep: "the reference counts a sample that comes to its end with the last permitted step as failed",
  notRetried: "the reference gives up at the first trial step that is not finite; axograd tries shorter ones",
} as const;

/** Null where the reference has stopped for reasons that stop axograd as well, or not at all. */
export function earlyStopOf(references: References): EarlyStop | null {
  const status = references.get("status");
  if (!status || !references.has("trace_running")) return null;
  const codes = Array.from(status.data, Number);
  const found = codes.map((code, sample) => faultOf(code, sample, references));
  const faults = new Set(found.filter((fault) => fault !== null));
  if (faults.size === 0) return null;
  // A sample that fails in the reference's last iteration for other reasons fails here too, and stops the batch.
  const stopsHere = codes.some((code, s) => code !== STATUS_CODES.success && found[s] === null);
  const ours = status.data.map((code, s) =>
    found[s] === null || found[s] === "notRetried" ? Number(code) : STATUS_CODES.success,
  );
  return {
    references: new Map([...references, ["status", { ...status, data: ours as NpyArray["data"] }]]),
    goesOn: !stopsHere && (faults.has("finishedBelowDtMin") || faults.has("notRetried")),
    notes: [...faults].map((fault) => NOTES[fault]),
  };
}

function faultOf(code: number, sample: number, references: References): keyof typeof NOTES | null {
  const isRunning = lastOf(references, "trace_running", sample) !== 0;
  if (code === STATUS_CODES.dtMin && !isRunning) return "finishedBelowDtMin";
  if (code === STATUS_CODES.maxSteps && finishes(references, sample)) return "finishedWithLastStep";
  const ratio = lastOf(references, "trace_error_ratio", sample);
  return code === STATUS_CODES.nonFinite && isRunning && ratio !== undefined && !Number.isFinite(ratio)
    ? "notRetried"
    : null;
}

/** Whether a sample comes to its last evaluation point in the last iteration. */
function finishes(references: References, sample: number): boolean {
  const [t, dt, accept] = ["trace_t", "trace_dt", "trace_accept"].map((name) => lastOf(references, name, sample));
  const ts = references.get("ts");
  if (t === undefined || dt === undefined || accept !== 1 || !ts) return false;
  const perSample = ts.data.length / references.get("status")!.data.length;
  const end = Number(ts.data[(sample + 1) * perSample - 1]);
  const sum = ts.data instanceof Float32Array ? Math.fround(t + dt) : t + dt;
  return dt >= 0 ? sum >= end : sum <= end;
}

/** A sample's entry of a trace in the iteration that the reference stopped in. */
function lastOf(references: References, name: string, sample: number): number | undefined {
  const trace = references.get(name)?.data;
  if (!trace) return undefined;
  return Number(trace[trace.length - references.get("status")!.data.length + sample]);
}
