// Times training steps of one process and of several ranks on one machine, whole commands in turn:
//
//   node dist/bench/ranks/ranks.js [--network NxM] [--batch N] [--steps N] [--rounds N] [--launcher COMMAND] [--ranks 1,2] [--json FILE]
//
// All cases share the CPUs of the machine: ranks have them divided, so that what differs is the division of the batch and the exchange. Before
// times are reported, the parameters of all cases with micro-batches are compared, bit by bit.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readSafetensors } from "../../src/io/safetensors.ts";
import { describeMachine } from "../machine.ts";
import { median } from "../stats.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const MICRO_BATCH = 16;
/** The first step compiles programs. */
const WARM_UP = 1;

interface Case {
  readonly name: string;
  /** null: one process, without a launcher. */
  readonly ranks: number | null;
  readonly microBatch: number | null;
}

interface Row extends Case {
  readonly threads: number;
  /** Medians over all measured steps of all rounds. */
  readonly stepSeconds: number;
  /** Exchange and waiting, of rank 0. */
  readonly exchangeSeconds: number;
  /** Of the medians of rounds: the smallest and the largest. */
  readonly spread: readonly [number, number];
  /** Of rank 0. */
  readonly peakMemoryBytes: number;
}

const { values: given } = parseArgs({
  options: {
    network: { type: "string", default: "47521x4623254" },
    batch: { type: "string", default: "64" },
    steps: { type: "string", default: "5" },
    rounds: { type: "string", default: "3" },
    ranks: { type: "string", default: "1,2" },
    launcher: { type: "string", default: "mpirun --bind-to none --oversubscribe" },
    label: { type: "string", default: "" },
    json: { type: "string" },
  },
});
const cpus = availableParallelism();
const cases: readonly Case[] = [
  { name: "one process, whole batches", ranks: null, microBatch: null },
  { name: "one process, micro-batches", ranks: null, microBatch: MICRO_BATCH },
  ...given.ranks.split(",").map((text): Case => {
    return { name: `${text} rank${text === "1" ? "" : "s"}`, ranks: Number(text), microBatch: MICRO_BATCH };
  }),
];

interface Measured {
  readonly steps: readonly { readonly seconds: number; readonly exchangeSeconds: number }[];
  readonly peakMemoryBytes: number;
  /** Of all tensors of the last checkpoint. */
  readonly hash: string;
}

async function measure({ ranks, microBatch }: Case): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), "axograd-ranks-"));
  const out = join(folder, "run");
  try {
    const [launcher = process.execPath, ...words] =
      ranks === null ? [] : [...given.launcher.split(" "), "-n", `${ranks}`, process.execPath];
    const settings = `--preset tutorial --generate ${given.network} --device wasm --threads ${threadsOf(ranks)} --steps ${given.steps} --batch-size ${given.batch} --test-samples 0 --validation-samples 0 --diagnose-every 0 --no-report --quiet`;
    const own = microBatch === null ? [] : ["--micro-batch", `${microBatch}`];
    const args = [...words, MAIN, "train", ...settings.split(" "), ...own, "--out", out];
    const { status, stderr } = spawnSync(launcher, args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`${launcher} ${args.join(" ")}: exit code ${status}\n${stderr}`);
    const events = readFileSync(join(out, "metrics.jsonl"), "utf8").trim().split("\n");
    const steps = events.map((line) => JSON.parse(line)).filter(({ event }) => event === "step");
    const summary = JSON.parse(readFileSync(join(out, "summary.json"), "utf8"));
    return {
      steps: steps.slice(WARM_UP).map(({ seconds, exchangeSeconds = 0 }) => ({ seconds, exchangeSeconds })),
      peakMemoryBytes: summary.peakMemoryBytes,
      hash: await hashOf(join(out, "checkpoint.safetensors")),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function threadsOf(ranks: number | null): number {
  return Math.max(1, Math.floor(cpus / (ranks ?? 1)));
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  const { tensors } = await readSafetensors(file);
  for (const [name, { data }] of tensors) hash.update(name).update(data as Float32Array);
  return hash.digest("hex");
}

const load = { before: loadavg()[0]!, after: 0 };
const measured = cases.map((): Measured[] => []);
for (let round = 0; round < Number(given.rounds); round++) {
  for (const [i, one] of cases.entries()) {
    measured[i]!.push(await measure(one));
    const seconds = median(measured[i]!.at(-1)!.steps.map((step) => step.seconds));
    console.error(`round ${round + 1} of ${given.rounds}: ${one.name}, ${seconds.toFixed(3)} s per step`);
  }
}
load.after = loadavg()[0]!;

const hashes = cases.flatMap(({ microBatch }, i) => (microBatch === null ? [] : measured[i]!.map(({ hash }) => hash)));
if (new Set(hashes).size !== 1)
  throw new Error(`the same bits were expected of all cases with micro-batches, got ${hashes}`);
const rows = cases.map((one, i): Row => {
  const rounds = measured[i]!;
  const of = (name: "seconds" | "exchangeSeconds") => rounds.map(({ steps }) => steps.map((step) => step[name]));
  const medians = of("seconds").map(median);
  return {
    ...one,
    threads: threadsOf(one.ranks),
    stepSeconds: median(of("seconds").flat()),
    exchangeSeconds: median(of("exchangeSeconds").flat()),
    spread: [Math.min(...medians), Math.max(...medians)],
    peakMemoryBytes: Math.max(...rounds.map(({ peakMemoryBytes }) => peakMemoryBytes)),
  };
});
for (const { name, threads, stepSeconds, exchangeSeconds, spread, peakMemoryBytes } of rows) {
  const ratio = (stepSeconds / rows[0]!.stepSeconds).toFixed(3);
  const rounds = spread.map((seconds) => seconds.toFixed(3)).join(" to ");
  const memory = `${(peakMemoryBytes / 2 ** 20).toFixed(0)} MiB`;
  console.log(
    `${name.padEnd(30)}${threads} threads each  ${stepSeconds.toFixed(3)} s (${rounds})  × ${ratio}  exchange ${exchangeSeconds.toFixed(3)} s  ${memory}`,
  );
}
console.log(`the parameters of all cases with micro-batches have the same bits: ${hashes[0]!.slice(0, 16)}`);
if (given.json !== undefined) {
  mkdirSync(dirname(given.json), { recursive: true });
  const report = { label: given.label, load, machine: describeMachine(), given, hash: hashes[0], rows };
  writeFileSync(given.json, `${JSON.stringify(report, null, 2)}\n`);
}
