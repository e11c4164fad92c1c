// The report: doctor, check, the first losses of a training, and times on networks of the size of a fly's brain. Text on stdout,
// everything as JSON in a file.
//
// Exit code: 0 done, 1 the check or the training failed or nothing could be measured, 2 wrong usage.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { textOf as checkText } from "../../dist/src/cli/check.js";
import { textOf as doctorText } from "../../dist/src/cli/doctor.js";
import { measureNetwork } from "./measure.mjs";
import { tableOf } from "./table.mjs";

const CLI = fileURLToPath(new URL("../../dist/src/cli/main.js", import.meta.url));
/** Beside the library in the archive: scripts/packGpu.mjs. */
const DATA = fileURLToPath(new URL("../../../data", import.meta.url));
const CONNECTOME = join(DATA, "connectome.npz");

/** A fly's optic lobe, and a whole brain. */
const NETWORKS = [
  { neurons: 47521, synapses: 4623254 },
  { neurons: 140000, synapses: 15000000 },
];
const BATCHES = [1, 8, 32, 64, 256];
const QUICK_BATCHES = [8, 64];
const SECONDS = 1;
const QUICK_SECONDS = 0.2;
const TRAINING = [
  ...["--connectome", CONNECTOME, "--data", join(DATA, "digits"), "--steps", "20", "--batch-size", "8"],
  ...["--validation-samples", "0", "--test-samples", "0", "--calibration", "64", "--no-report"],
];

const options = optionsOf(process.argv.slice(2));
// For the commands as for the times.
if (options.adapter !== null) process.env.AXOGRAD_ADAPTER = options.adapter;
const doctor = axograd(["doctor"], doctorText);
const check = axograd(["check", "--device", "webgpu", "--connectome", CONNECTOME], ({ subjects }) =>
  checkText(subjects),
);
const isThere = doctor.json.adapters.length > 0;
const training = isThere ? train() : null;
const networks = [];
for (const network of isThere ? options.networks : []) {
  networks.push(await measureNetwork(network, options));
}
const adapter = networks.find((network) => network.adapter)?.adapter ?? null;
const report = { date: new Date().toISOString(), adapter, doctor: doctor.json, check: check.json, training, networks };
writeFileSync(options.out, `${JSON.stringify(report, null, 2)}\n`);
console.log(tableOf(report));
console.log(`written to ${options.out}`);
const isMeasured = networks.some(({ rows }) => rows.some((row) => row.error === null));
process.exitCode = check.status === 0 && training?.error === null && isMeasured ? 0 : 1;

/** Runs a command of axograd in a process of its own and prints its report, or why there is none. */
function axograd(args, textOf) {
  console.log(`== axograd ${args.join(" ")}`);
  const { status, stdout } = jsonOf(args);
  const json = JSON.parse(stdout || "{}");
  // An error is a JSON line, too; its message is on stderr.
  if (!("event" in json)) console.log(textOf(json));
  return { status, json };
}

/** What a command says with --json; its stderr is passed on. */
function jsonOf(args) {
  const run = spawnSync(process.execPath, [CLI, ...args, "--json"], { encoding: "utf8", maxBuffer: 2 ** 28 });
  process.stdout.write(run.stderr);
  return run;
}

/** Losses of the first steps of a training, on the GPU and on the CPU, and the largest difference relative to a loss. */
function train() {
  console.log("== axograd train, 20 steps");
  const folder = mkdtempSync(join(tmpdir(), "gpu-report-"));
  try {
    const [webgpu, wasm] = ["webgpu", "wasm"].map((device) => {
      const { status, stdout } = jsonOf(["train", ...TRAINING, "--device", device, "--out", join(folder, device)]);
      const events = stdout
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line));
      return status === 0 ? events.filter(({ event }) => event === "step").map(({ loss }) => loss) : null;
    });
    if (!webgpu || !wasm)
      return { webgpu, wasm, difference: null, error: `no losses on ${webgpu ? "wasm" : "webgpu"}` };
    const difference = Math.max(...webgpu.map((loss, k) => Math.abs(loss / wasm[k] - 1)));
    const text = (losses) => losses.map((loss) => loss.toFixed(4)).join(" ");
    console.log(
      `  webgpu  ${text(webgpu)}\n  wasm    ${text(wasm)}\n  largest difference ${difference.toExponential(1)} of a loss\n`,
    );
    return { webgpu, wasm, difference, error: null };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function optionsOf(args) {
  const { values } = parse(args);
  const { quick = false, neurons, synapses, batches, adapter = null } = values;
  const isOwn = neurons !== undefined || synapses !== undefined;
  if (isOwn && (neurons === undefined || synapses === undefined)) usage("--neurons and --synapses go together");
  return {
    networks: isOwn
      ? [{ neurons: whole("--neurons", neurons), synapses: whole("--synapses", synapses) }]
      : NETWORKS.slice(0, quick ? 1 : NETWORKS.length),
    batches: batches?.split(",").map((text) => whole("--batches", text)) ?? (quick ? QUICK_BATCHES : BATCHES),
    seconds: quick ? QUICK_SECONDS : SECONDS,
    adapter,
    out: values.out ?? "gpu-report.json",
  };
}

function parse(args) {
  const string = { type: "string" };
  try {
    return parseArgs({
      args,
      options: {
        quick: { type: "boolean" },
        neurons: string,
        synapses: string,
        batches: string,
        adapter: string,
        driver: string,
        out: string,
      },
    });
  } catch (error) {
    return usage(error.message);
  }
}

function whole(option, text) {
  const value = Number(text);
  return Number.isSafeInteger(value) && value >= 1 ? value : usage(`${option}: expected whole numbers, got ${text}`);
}

function usage(message) {
  process.stderr.write(`gpu-report: ${message}\n`);
  process.exit(2);
}
