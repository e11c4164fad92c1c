// The tables of a report: titles, columns and cells, for write.mjs to print.

/** Number of kernels shown per step, the slowest ones. */
const MOST_KERNELS = 8;

/** Comparisons: the peers' time (the fastest row that matches; rows with f16 operands do not), and the axograd time. */
const COMPARISONS = [
  { what: "training step: torch-biopl's own way (re-written)", group: "step_seed", ours: "step" },
  { what: "training step: PyTorch by hand, CSR and sampled_addmm", group: "step_best", ours: "step" },
  { what: "training step: the same without waits, or as a CUDA graph", group: "step_graph", ours: "step" },
  { what: "training step: torch.compile", group: "step_compile", ours: "step" },
  { what: "forward product: cuSPARSE, its best algorithm", group: "cusparse", ours: "forward" },
  { what: "forward product: PyTorch CSR", group: "spmm", ours: "forward" },
  { what: "forward product: JAX", group: "jax", ours: "forward", isOf: ({ name }) => !/backward/.test(name) },
  {
    what: "forward product: hand-written CUDA",
    group: "cuda",
    ours: "forward",
    isOf: ({ name }) => !/backward|gather|half/.test(name),
  },
  {
    what: "backward: PyTorch, Wᵀ·G and sampled_addmm",
    group: "backward",
    ours: "backward",
    isOf: ({ name }) => /\+ sampled_addmm/.test(name),
  },
  {
    what: "backward: hand-written CUDA",
    group: "cuda",
    ours: "backward",
    isOf: ({ name }) => /backward/.test(name) && !/half/.test(name),
  },
];

/** @returns {readonly { title: string, columns?: readonly string[], rows?: readonly (readonly string[])[], lines?: readonly string[] }[]} */
export function tablesOf(found) {
  return [
    {
      title: `gpu-report: ${found.device}`,
      lines: [[`Measured ${found.date}`, ...found.commits.map((commit) => `axograd ${commit}`)].join(", ")],
    },
    clockTable(found),
    verdictTable(found),
    failureTable(found),
    batchTable(found),
    tuningTable(found),
    peerTable(found),
    costTable(found),
    ...found.kernels.map(kernelTable),
    missingTable(found),
  ].filter(({ rows, lines }) => (rows ?? lines).length > 0);
}

/** Clocks of a card at rest are low; no time was measured then. */
function clockTable({ clocks }) {
  const columns = ["when", clocks[0]?.query ?? ""];
  return { title: "Clocks of the card", columns, rows: clocks.map(({ when, text }) => [when, text]) };
}

function failureTable({ failures }) {
  return {
    title: "Tests that failed",
    columns: ["file", "test"],
    rows: failures.map(({ file, test }) => [file, test]),
  };
}

function verdictTable({ verdicts }) {
  const rows = verdicts.map(({ what, verdict, detail }) => [what, verdict, detail]);
  return { title: "Is it right", columns: ["what", "verdict", "detail"], rows };
}

function batchTable({ batches }) {
  const columns = [
    ...[
      "batch",
      "forward µs",
      "TFLOP/s",
      "backward µs",
      "TFLOP/s",
      "step device ms",
      "wall ms",
      "in a cold process",
      "one after another",
    ],
    ...["first step s, cold", "warm", "attempts", "recomputed", "dispatches", "pipelines", "memory MiB"],
    "SM clock before, after",
  ];
  const rows = batches.map((it) => [
    ...[`${it.batch}`, number(it.forward.us), number(it.forward.tflops)],
    ...[number(it.backward.us), number(it.backward.tflops)],
    ...[number(it.deviceMs), number(it.wallMs), number(it.coldMs), number(it.pipelinedMs)],
    ...[number(it.coldFirstMs, 1e-3), number(it.warmFirstMs, 1e-3), count(it.attempts), count(it.recomputed)],
    ...[count(it.dispatches), count(it.pipelines), number(it.peakBytes, 2 ** -20)],
    it.clock ?? "-",
  ]);
  return { title: "axograd", columns, rows };
}

/** The tuner's choices, and their times after the default's. */
function tuningTable({ tunings }) {
  const pair = (before, after) => `${number(before)} → ${number(after)}`;
  return {
    title: "Tuned: the default's time → that of the choice",
    columns: [
      ...["batch", "sums", "forward µs", "backward µs", "step ms", "limits", "panels", "backward", "exchange"],
      ...["trials", "dropped", "untried", "tuner s"],
    ],
    rows: tunings.map((it) => [
      ...[`${it.batch}`, it.name, pair(it.forwardDefaultUs, it.forwardUs)],
      ...[pair(it.backwardDefaultUs, it.backwardUs), pair(it.stepDefaultMs, it.stepMs)],
      ...[it.limits, `${it.panels}`, `${it.gradPanels}`, it.exchange],
      ...[`${it.trials}`, `${it.dropped}`, `${it.untried}`, number(it.tunerMs, 1e-3)],
    ]),
  };
}

/** Peers' times, and their ratios to axograd's. */
function peerTable({ batches }) {
  const withPeers = batches.filter(({ peers }) => peers.length > 0);
  const rows = COMPARISONS.map((comparison) => [comparison.what, ...withPeers.map((it) => versus(comparison, it))]);
  return {
    title: "Peers on the same card: ms, and how many times as long as axograd",
    columns: ["what", ...withPeers.map(({ batch }) => `batch ${batch}`)],
    rows: rows.filter((cells) => cells.slice(1).some((cell) => cell !== "-")),
  };
}

function versus({ group, ours, isOf = () => true }, it) {
  const times = it.peers.filter((row) => row.group === group && isOf(row) && row.ms > 0).map(({ ms }) => ms);
  if (times.length === 0) return "-";
  const theirs = Math.min(...times);
  const own = ours === "step" ? it.pipelinedMs : it[ours].us === null ? null : it[ours].us / 1000;
  return own === null ? number(theirs) : `${number(theirs)} (${(theirs / own).toFixed(2)})`;
}

function costTable({ costs }) {
  const rows = costs.map(({ name, gbPerS, deviceUs, wallUs }) => [
    name,
    number(gbPerS),
    number(deviceUs),
    number(wallUs),
  ]);
  return { title: "Ceilings and costs", columns: ["what", "GB/s", "device µs", "wall µs"], rows };
}

function kernelTable({ batch, deviceMs, kernels }) {
  const rows = kernels.slice(0, MOST_KERNELS).map(({ kernel, ms, runs }) => {
    const share = `${((100 * ms) / deviceMs).toFixed(0)} %`;
    return [kernel, number(ms), share, number(runs), number((1000 * ms) / runs)];
  });
  return {
    title: `Where the time of a step goes, batch ${batch}`,
    columns: ["kernel", "ms", "of the device's time", "runs", "µs each"],
    rows,
  };
}

function missingTable({ missing }) {
  return {
    title: "Not reached",
    columns: ["what", "why"],
    rows: missing.map(({ what, why }) => [what, why.slice(0, 160)]),
  };
}

/** Three significant digits. */
function number(x, factor = 1) {
  return x === null || x === undefined ? "-" : `${Number((factor * x).toPrecision(3))}`;
}

function count(x) {
  return x === null ? "-" : `${x}`;
}
