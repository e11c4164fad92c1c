// The command line of the benchmarks.

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import type { DType } from "../src/core/dtype.ts";
import { ArgumentError, nearestName } from "../src/core/errors.ts";
import { PEERS, type PeerName, SUITES, type SuiteName } from "./row.ts";

export interface BenchOptions {
  readonly suites: readonly SuiteName[];
  readonly sizes: readonly string[];
  readonly batches: readonly number[];
  readonly threads: readonly number[];
  readonly dtype: DType;
  readonly device: "wasm" | "webgpu";
  readonly peers: readonly PeerName[];
  readonly quick: boolean;
  /** Turns of every contender; null: the default. */
  readonly rounds: number | null;
  /** Profile a training step by kind of kernel. */
  readonly profile: boolean;
  /** Of suite discrete: updates in a training step, and whether the weights are fixed. */
  readonly steps: number;
  readonly frozen: boolean;
  readonly json: string | null;
  readonly label: string;
}

export const USAGE: string = `npm run bench -- [options]

  --suite <names>     ${SUITES.join(", ")} or all (all)
  --sizes <names>     tiny, default, tutorial, flyvis15, brain, fly, or neurons x connections as 2000x100000 (tiny,default,tutorial)
  --batch <numbers>   samples per run (8,16,64)
  --threads <numbers> threads of the CPU path (1 and as many as the machine has)
  --dtype <name>      f32 or f64 (f32)
  --device <name>     wasm or webgpu (wasm)
  --peers <names>     ${PEERS.join(", ")} (all that are installed)
  --no-peers          only axograd
  --profile           of suites step and discrete: time and bytes of one step by kind of kernel
  --steps <n>         of suite discrete: updates in a training step (8)
  --frozen            of suite discrete: the weights are fixed, biases and leaks are trained
  --rounds <n>        turns of every contender, fewer for work that takes seconds (5)
  --quick             few samples: to see that everything runs, not to measure
  --label <text>      what else the machine is doing; kept in the JSON
  --json <file>       write everything measured
`;

const QUICK_DEFAULTS = { sizes: "tiny", batch: "8" };
const DEFAULTS = { sizes: "tiny,default,tutorial", batch: "8,16,64" };

/** @throws {ArgumentError} an unknown name, a number out of range */
export function parseOptions(argv: readonly string[]): BenchOptions {
  const { values } = parse(argv);
  const defaults = values.quick ? QUICK_DEFAULTS : DEFAULTS;
  const suites = list(values.suite).flatMap((name) => (name === "all" ? SUITES : [oneOf("suite", name, SUITES)]));
  const everyThread = [...new Set([1, availableParallelism()])].join(",");
  return {
    suites: SUITES.filter((name) => suites.includes(name)),
    sizes: list(values.sizes ?? defaults.sizes),
    batches: list(values.batch ?? defaults.batch).map((text) => positive("batch", text)),
    threads: list(values.threads ?? everyThread).map((text) => positive("threads", text)),
    dtype: oneOf("dtype", values.dtype, ["f32", "f64"]),
    device: oneOf("device", values.device, ["wasm", "webgpu"]),
    peers: values["no-peers"]
      ? []
      : values.peers === undefined
        ? PEERS
        : list(values.peers).map((name) => oneOf("peers", name, PEERS)),
    quick: values.quick,
    rounds: values.rounds === undefined ? null : positive("rounds", values.rounds),
    profile: values.profile,
    steps: positive("steps", values.steps),
    frozen: values.frozen,
    json: values.json ?? null,
    label: values.label,
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        suite: { type: "string", default: "all" },
        sizes: { type: "string" },
        batch: { type: "string" },
        threads: { type: "string" },
        dtype: { type: "string", default: "f32" },
        device: { type: "string", default: "wasm" },
        peers: { type: "string" },
        "no-peers": { type: "boolean", default: false },
        quick: { type: "boolean", default: false },
        rounds: { type: "string" },
        profile: { type: "boolean", default: false },
        steps: { type: "string", default: "8" },
        frozen: { type: "boolean", default: false },
        label: { type: "string", default: "" },
        json: { type: "string" },
      },
    });
  } catch (error) {
    throw new ArgumentError(
      "bench",
      "arguments",
      "options of --help",
      error instanceof Error ? error.message : `${error}`,
    );
  }
}

function list(text: string): string[] {
  return text.split(",").map((part) => part.trim());
}

function oneOf<T extends string>(option: string, name: string, known: readonly T[]): T {
  const found = known.find((k) => k === name);
  if (found !== undefined) return found;
  const near = nearestName(name, known);
  throw new ArgumentError("bench", `--${option}`, near ? `${near}?` : known.join(", "), name);
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new ArgumentError("bench", `--${option}`, "a positive whole number", text);
}
