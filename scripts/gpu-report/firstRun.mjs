// Converts the files of the first run on a GPU, made by earlier scripts, into rows of the current format.

/** @returns {readonly object[] | null} null for a report in the current format */
export function rowsOfFirstRun(report) {
  if (report.planned !== undefined) return null;
  if (report.networks !== undefined) return rowsOfReport(report);
  if (report.environment !== undefined) return rowsOfPeers(report);
  return report.rows.flatMap(rowsOfProbe);
}

const PRODUCTS = { "forward spmm": "forward product", "fused backward": "fused backward" };

/** Leaves out its device times, which were quantised, and its training step, which had a smaller read-out. */
function rowsOfReport({ adapter, check, training, networks }) {
  const times = networks
    .flatMap(({ rows }) => rows)
    .filter(({ work, error }) => error === null && work in PRODUCTS)
    .map(({ work, batch, wallMs, tflops, deviceMs }) => {
      const wallTflops = (tflops * Math.min(deviceMs, wallMs)) / wallMs;
      return { part: "products", name: "time", batch, product: PRODUCTS[work], wallUs: 1000 * wallMs, wallTflops };
    });
  return [
    { ...adapter, part: "machine", name: "adapter", adapter: adapter.name },
    { part: "check", name: "check", passed: check.passed },
    { part: "train", name: "train", passed: training.error === null, difference: training.difference },
    ...times,
  ];
}

/** Experiments of that time: copies of the product's shaders, with robustness turned off. */
const EXPERIMENTS = /variants|robustness|compile|info/;

function rowsOfProbe({ section, name, ...facts }) {
  if (EXPERIMENTS.test(section)) return [];
  const why = facts.error ?? facts.result;
  if (why !== undefined) return [{ part: "step", title: section, name, error: `${why}` }];
  if (section === "ceilings") return [{ part: "ceilings", name, gbPerS: facts.gbPerS }];
  if (section === "overhead") {
    const wallUs = facts.wallUsEach ?? facts.wallUsEachDispatch ?? 1000 * facts.medianMs;
    return [{ part: "ceilings", name, deviceUs: facts.gpuUsEach, wallUs }];
  }
  const { batch, totalMs, kinds } = facts;
  if (kinds) return [{ part: "step", name: "time by kernel", batch, deviceMs: totalMs, kernels: kinds }];
  const step = { part: "step", name: "training step", ...facts };
  if (section.includes("second process")) return [step];
  // Steady state in a process that had compiled everything; used if no other was measured.
  return [
    { part: "start", name: "cold start", ...facts, laterMs: [facts.medianMs] },
    { ...step, firstMs: undefined, isCold: true },
  ];
}

function rowsOfPeers({ rows, skipped }) {
  const peer = ({ part, error, ...row }) => ({ ...row, part: "peers", group: part, relativeError: error });
  return [...rows.map(peer), ...skipped.map(({ why, ...row }) => ({ ...peer(row), skipped: why }))];
}
