// Sorts the rows of one or more reports into findings: correctness, times, and what was not reached.

import { median } from "./clock.mjs";
import { rowsOfFirstRun } from "./firstRun.mjs";
import { PARTS } from "./parts.mjs";

/** @param {readonly object[]} reports contents of report files, of gpu-report or of the first run's scripts */
export function findings(reports) {
  const rows = reports.flatMap((report) => rowsOfFirstRun(report) ?? report.rows);
  const of = (part, name) => rows.filter((row) => row.part === part && row.name === name && isGood(row));
  // If a step was measured twice, takes the process whose shaders the driver knew.
  const steps = of("step", "training step").sort((a, b) => (a.isCold ? 1 : 0) - (b.isCold ? 1 : 0));
  const byKernel = of("step", "time by kernel");
  const starts = of("start", "cold start");
  const products = of("products", "time");
  const peers = rows.filter((row) => row.part === "peers" && isGood(row));
  const batches = [...new Set([...steps, ...starts, ...products].map(({ batch }) => batch))].sort((a, b) => a - b);
  return {
    device: deviceOf(rows),
    commits: [...new Set(rows.flatMap(({ part, commit }) => (part === "machine" && commit ? [commit] : [])))],
    date: reports
      .map(({ date }) => date ?? "")
      .sort()
      .at(-1),
    clocks: rows
      .filter(({ part, text }) => part === "machine" && text)
      .map(({ when, title, query, text }) => ({ when: when ?? title, query, text })),
    verdicts: rows.filter((row) => typeof row.passed === "boolean").map(verdictOf),
    failures: rows.flatMap(({ name, failures = [] }) => failures.map((test) => ({ file: name, test }))),
    batches: batches.map((batch) => ({
      batch,
      ...productFacts(products.filter((row) => row.batch === batch)),
      ...stepFacts(find(steps, batch), find(byKernel, batch), find(starts, batch)),
      peers: peers.filter((row) => row.batch === batch),
    })),
    costs: rows.filter((row) => COSTS.includes(row.part) && isGood(row) && costOf(row) !== undefined),
    kernels: byKernel,
    tunings: rows.filter((row) => row.part === "tuning" && row.stepMs !== undefined && isGood(row)),
    missing: missingOf(reports, rows),
  };
}

/** Parts that measure single costs. */
const COSTS = ["ceilings", "start"];

function costOf({ gbPerS, deviceUs, wallUs }) {
  return gbPerS ?? deviceUs ?? wallUs;
}

function isGood(row) {
  return row.error === undefined && typeof row.skipped !== "string";
}

function find(rows, batch) {
  return rows.find((row) => row.batch === batch) ?? null;
}

function deviceOf(rows) {
  // With several adapters, prefer a GPU.
  const adapters = rows.filter((row) => row.part === "machine" && row.name === "adapter" && isGood(row));
  const adapter = adapters.find(({ isSoftware }) => !isSoftware) ?? adapters[0];
  if (adapter === undefined) return "no adapter";
  const { adapter: name, driver, isSoftware } = adapter;
  return isSoftware
    ? `SOFTWARE ADAPTER, not a GPU: ${name}. Its times say nothing about any GPU`
    : `${name}, driver ${driver}`;
}

function verdictOf(row) {
  const what = row.part === "products" ? `products at full size, batch ${row.batch}` : `${row.part}: ${row.name}`;
  return { what: row.part === row.name ? row.part : what, verdict: judgement(row), detail: detailOf(row) };
}

function judgement({ passed, problem, failed }) {
  if (passed) return "ok";
  // Files that were cut off without a failed test.
  return problem && failed === 0 ? "NOT ENDED" : "WRONG";
}

function detailOf({ part, difference, count, failed, skipped, problem, errorOverBound, sameTwice, sameInBatches }) {
  switch (part) {
    case "train":
      return `largest difference of a loss ${difference?.toExponential(1) ?? "no number"}`;
    case "conformance":
      return [
        ...[`${count} passed`, `${failed} failed`],
        ...(skipped > 0 ? [`${skipped} skipped`] : []),
        ...(problem ? [problem] : []),
      ].join(", ");
    case "products": {
      const bits = `same bits twice: ${yesOrNo(sameTwice)}, in any batch: ${yesOrNo(sameInBatches)}`;
      // JSON has neither NaN nor infinity.
      const error = errorOverBound === null ? "no number" : `${(100 * errorOverBound).toFixed(0)} % of its bound`;
      return `error ${error}, ${bits}`;
    }
    default:
      return "";
  }
}

function yesOrNo(is) {
  return is ? "yes" : "no";
}

/** Microseconds on the device; without device times, by the clock, which includes the gaps between runs. */
function productFacts(rows) {
  const fact = (product, field) => rows.find((row) => row.product === product && row[field] !== undefined)?.[field];
  const of = (product) => ({
    us: fact(product, "deviceUs") ?? fact(product, "wallUs") ?? null,
    tflops: fact(product, "tflops") ?? fact(product, "wallTflops") ?? null,
  });
  return { forward: of("forward product"), backward: of("fused backward") };
}

function stepFacts(step, kernels, start) {
  const plan = step?.plan ?? start?.plan ?? null;
  return {
    deviceMs: kernels?.deviceMs ?? null,
    wallMs: step === null || step.isCold ? null : step.medianMs,
    pipelinedMs: step?.pipelinedMs ?? null,
    coldMs: start === null ? null : median(start.laterMs),
    coldFirstMs: start?.firstMs ?? null,
    warmFirstMs: step?.firstMs ?? null,
    attempts: plan?.attempts ?? null,
    recomputed: plan === null ? null : (plan.attemptsRecomputed ?? plan.attempts - plan.attemptsStored),
    dispatches: step?.dispatches ?? null,
    pipelines: step?.pipelines ?? start?.pipelines ?? null,
    peakBytes: step?.memory?.peakBytes ?? null,
    clock: step?.clockBefore ? `${step.clockBefore}, ${step.clockAfter}` : null,
  };
}

/** Everything that was not reached, by name, with the reason. */
function missingOf(reports, rows) {
  const missing = rows
    .filter((row) => row.error !== undefined || typeof row.skipped === "string")
    .map(({ part, title, name, batch, group, error, skipped }) => ({
      what: [title ?? part, group, name === title ? undefined : name, batch && `batch ${batch}`]
        .filter(Boolean)
        .join(": "),
      why: String(error ?? skipped).split("\n", 1)[0],
    }));
  for (const report of reports.filter(({ planned }) => planned !== undefined)) {
    const ended = report.parts.map(({ title }) => title);
    for (const title of report.planned) if (!ended.includes(title)) missing.push({ what: title, why: "not ended" });
    for (const part of PARTS)
      if (!report.options.parts.includes(part)) missing.push({ what: part, why: "not asked for" });
  }
  return missing;
}
