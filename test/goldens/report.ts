// Runs one case to a verdict, and verdicts to lines.

import type { Backend } from "../../src/backend/backend.ts";
import { EngineError } from "../../src/core/errors.ts";
import { referencesOf, runCase, unsupported } from "./cases.ts";
import { type ArrayError, type Comparison, compareOutputs } from "./compare.ts";
import { type CaseArrays, type GoldenCase, readCaseArrays } from "./format.ts";

export interface CaseResult {
  readonly name: string;
  readonly verdict: "passed" | "failed" | "skipped";
  /** The array nearest to its bound, or furthest beyond it. */
  readonly worst: ArrayError | null;
  readonly failures: readonly ArrayError[];
  /** Why it was skipped, what broke, what was not compared. */
  readonly notes: readonly string[];
  readonly seconds: number;
}

/** Runs a case in the backend's precision and compares it. Whatever it throws is a failure. */
export async function checkCase(
  backend: Backend,
  golden: GoldenCase,
  readArrays: (golden: GoldenCase) => Promise<CaseArrays> = (g) => readCaseArrays(g, backend.dtype),
): Promise<CaseResult> {
  const { name } = golden;
  const reason = unsupported(golden);
  if (reason !== null) return { name, verdict: "skipped", worst: null, failures: [], notes: [reason], seconds: 0 };
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  try {
    const arrays = await readArrays(golden);
    const outputs = await runCase(backend, golden, arrays.inputs);
    const { worst, failures, compared, notes } = compareOutputs(golden, backend.dtype, outputs, referencesOf(arrays));
    const failed = failures.length > 0 || compared.length === 0;
    return { name, verdict: failed ? "failed" : "passed", worst, failures, notes, seconds: seconds() };
  } catch (error) {
    const note =
      error instanceof EngineError ? error.message : String((error instanceof Error && error.stack) || error);
    return { name, verdict: "failed", worst: null, failures: [], notes: [note], seconds: seconds() };
  }
}

export function counts(results: readonly CaseResult[]): Record<CaseResult["verdict"], number> {
  const count = (verdict: CaseResult["verdict"]) => results.filter((r) => r.verdict === verdict).length;
  return { passed: count("passed"), failed: count("failed"), skipped: count("skipped") };
}

const LABELS = { passed: "ok  ", failed: "FAIL", skipped: "skip" } as const;

/** "ok    ode_basic_n8   0.0123 × bound, grad_tau   (0.1 s)". */
export function formatResult({ name, verdict, worst, failures, notes, seconds }: CaseResult): string {
  const head = `${LABELS[verdict]}  ${name.padEnd(54)}`;
  if (verdict === "skipped") return `${head}  ${notes.join("; ")}`;
  const nearest = worst ? `  ${worst.ratio.toPrecision(3).padStart(8)} × bound, ${worst.name}` : "";
  const also = notes.length > 0 ? `  [${notes.join("; ")}]` : "";
  return [`${head}${nearest}  (${seconds.toFixed(1)} s)${also}`, ...failures.map(formatFailure)].join("\n");
}

function formatFailure({ name, index, got, expected, bound, ratio }: Comparison["failures"][number]): string {
  return index < 0
    ? `        ${name}: expected ${expected} numbers, got ${got}`
    : `        ${name}[${index}]: expected ${expected} within ${bound.toPrecision(3)}, got ${got} (${ratio.toPrecision(3)} × bound)`;
}
