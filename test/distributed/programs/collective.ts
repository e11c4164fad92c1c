// Run as several ranks: what a communicator promises, over the MPI of this machine. Rank 0 prints what the test compares.

import { deepStrictEqual } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { webAssembly } from "../../../src/backend/wasm/module.ts";
import { EngineError } from "../../../src/core/errors.ts";
import { withoutLauncher } from "../../../src/distributed/launcher.ts";
import { openCommunicator } from "../../../src/distributed/open.ts";
import { outOfBounds } from "./outOfBounds.ts";

const CHILD: string = fileURLToPath(new URL("./child.js", import.meta.url));

const communicator = await openCommunicator();
const { rank, size, hosts, description } = communicator;
const ranks = Array.from({ length: size }, (_, r) => r);

await exchanges();
for (const make of [inSharedMemory, (length: number) => new Float64Array(length)]) {
  await allToAll(make);
  await allGather(make);
}
if (size > 1) {
  trapIsCaught();
  await signalsArrive();
  childrenAreNoRanks();
  await opensOnce();
}
await communicator.close();
await communicator.close();
if (rank === 0) console.log(JSON.stringify({ size, hosts, description }));

async function exchanges(): Promise<void> {
  const value = (r: number) => ({ rank: r, loss: r / 3, list: new Float32Array([r, Number.NaN]), nothing: undefined });
  // uvu takes NaN for unequal to itself.
  deepStrictEqual(await communicator.exchange(value(rank)), ranks.map(value));
  // Longer than the first message, on some ranks.
  const long = (r: number): string => "é".repeat(r % 2 === 0 ? 3 : 100_000 + r);
  const all = await communicator.exchange(long(rank));
  assert.ok(all.every((text, r) => text === long(r)));
}

function inSharedMemory(length: number): Float32Array {
  const pages = Math.ceil((length * 4 + 64) / 65536);
  return new Float32Array(
    new (webAssembly().Memory)({ initial: pages, maximum: pages, shared: true }).buffer,
    ...[64, length],
  );
}

/** Rank r sends (r + to) % 3 · 5 numbers to rank `to`: nothing, too. */
async function allToAll(make: (length: number) => Float32Array | Float64Array): Promise<void> {
  const length = (from: number, to: number): number => 5 * ((from + to) % 3);
  const send = ranks.map((to) => make(length(rank, to)).fill(100 * rank + to));
  const receive = ranks.map((from) => make(length(from, rank)));
  await communicator.allToAll(send, receive);
  for (const [from, part] of receive.entries()) assert.ok(part.every((number) => number === 100 * from + rank));
}

/** Large, and with an empty piece. */
async function allGather(make: (length: number) => Float32Array | Float64Array): Promise<void> {
  const counts = ranks.map((r) => (r === 1 ? 0 : 100_000 + r));
  const whole = make(counts.reduce((sum, count) => sum + count, 0));
  const startOf = (r: number): number => counts.slice(0, r).reduce((sum, count) => sum + count, 0);
  const piece = (r: number) => whole.subarray(startOf(r), startOf(r) + counts[r]!);
  piece(rank).fill(rank + 0.5);
  await communicator.allGather(whole, counts);
  for (const r of ranks) assert.ok(piece(r).every((number) => number === r + 0.5));
}

/** MPI and what it loads leave V8 the signal by which it notices an access out of bounds. */
function trapIsCaught(): void {
  assert.throws(outOfBounds, /memory access out of bounds/);
}

async function signalsArrive(): Promise<void> {
  for (const name of ["SIGTERM", "SIGINT", "SIGUSR1"] as const) {
    const arrived = once(process, name);
    process.kill(process.pid, name);
    // Signals that are awaited do not keep a process alive.
    const alive = setTimeout(() => {}, 10_000);
    await arrived;
    clearTimeout(alive);
  }
}

/** A process that a rank starts is refused, or alone. */
function childrenAreNoRanks(): void {
  const ofChild = (env: NodeJS.ProcessEnv): string => {
    const { stdout, stderr } = spawnSync(process.execPath, [CHILD], { env, encoding: "utf8" });
    return stdout + stderr;
  };
  assert.match(ofChild(process.env), `but process ${process.pid} is, which has started this one`);
  assert.is(ofChild(withoutLauncher(process.env)), "alone\n");
}

async function opensOnce(): Promise<void> {
  const error = await openCommunicator().catch((thrown) => thrown);
  assert.instance(error, EngineError);
  assert.is(error.code, "communicator");
}
