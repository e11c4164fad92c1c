// A communicator over MPI. Its calls block this thread until all ranks have made them; other threads go on. Every call begins with the same small
// message, which says what is called: ranks that call different things get an error instead of waiting for each other for ever.

import { createHash } from "node:crypto";
import { hostname } from "node:os";
import { deserialize, serialize } from "node:v8";
import type { FloatArray } from "../../core/dtype.ts";
import { EngineError, ShapeError } from "../../core/errors.ts";
import { asShared, checkSame } from "../agree.ts";
import type { Communicator } from "../communicator.ts";
import { atExit } from "../exit.ts";
import { nameOf, Watch } from "../watch.ts";
import type { Handle } from "./abis.ts";
import type { MpiLibrary } from "./library.ts";

/** MPI counts in 32-bit integers: what it moves at once. */
const LARGEST_COUNT = 2 ** 31 - 1;
/** What each rank sends first: a call, the length of its value, and the value: most fit. */
const FRAME_BYTES = 1024;
const HEAD_BYTES = 5;
const ROOM = FRAME_BYTES - HEAD_BYTES;
const CALLS = ["exchange", "allToAll", "allGather", "close"] as const;
type Call = (typeof CALLS)[number];
const TAG = 1;

export class MpiCommunicator implements Communicator {
  readonly rank: number;
  readonly size: number;
  readonly description: string;
  readonly #mpi: MpiLibrary;
  readonly #forgetExit: () => void;
  #hosts: readonly string[] = [];
  #watch: Watch | null = null;
  #isClosed = false;

  /** @param mpi  initialised */
  constructor(mpi: MpiLibrary, rank: number, size: number, description: string) {
    this.#mpi = mpi;
    this.rank = rank;
    this.size = size;
    this.description = description;
    const name = (): string => nameOf(rank, { host: this.#hosts[rank] ?? hostname(), pid: process.pid });
    this.#forgetExit = atExit(name, (code) => {
      this.#watch?.say();
      mpi.call.abort(mpi.abi.world, code);
    });
  }

  get hosts(): readonly string[] {
    return this.#hosts;
  }

  /** Makes the ranks known to each other, and starts their watch. A collective call, the first. */
  async meet(host: string, warn: (text: string) => void): Promise<void> {
    this.#hosts = await this.exchange(host);
    this.#watch = await Watch.start(this, warn);
  }

  async exchange<T>(value: T): Promise<readonly T[]> {
    return this.#meet("exchange", value);
  }

  /** @throws {EngineError} "ranks-differ", on all ranks: they do not make the same call */
  async #meet<T>(name: Call, value: T): Promise<readonly T[]> {
    const bytes = serialize(value);
    checkCount("exchange", "value, in bytes", bytes.length);
    const frame = new Uint8Array(FRAME_BYTES);
    new DataView(frame.buffer).setUint32(0, bytes.length);
    frame[HEAD_BYTES - 1] = CALLS.indexOf(name);
    frame.set(bytes.subarray(0, ROOM), HEAD_BYTES);
    const frames = new Uint8Array(this.size * FRAME_BYTES);
    this.#call("MPI_Allgather", ({ call, abi: { byte, world } }) =>
      call.allgather(frame, FRAME_BYTES, byte, frames, FRAME_BYTES, byte, world),
    );
    const heads = Array.from({ length: this.size }, (_, r) => new DataView(frames.buffer, r * FRAME_BYTES, HEAD_BYTES));
    this.#checkCalls(heads.map((head) => CALLS[head.getUint8(HEAD_BYTES - 1)]!));
    const lengths = heads.map((head) => head.getUint32(0));
    const parts = lengths.every((length) => length <= ROOM)
      ? lengths.map((length, r) => frames.subarray(r * FRAME_BYTES + HEAD_BYTES).subarray(0, length))
      : this.#gatherBytes(bytes, lengths);
    return parts.map((part) => deserialize(part) as T);
  }

  /** The second message of an exchange, where the first was too short. */
  #gatherBytes(bytes: Uint8Array, lengths: readonly number[]): readonly Uint8Array[] {
    const starts = startsOf(lengths);
    checkCount("exchange", "values, in bytes", starts[this.size]!);
    const whole = new Uint8Array(starts[this.size]!);
    whole.set(bytes, starts[this.rank]!);
    this.#gather(whole, lengths, this.#mpi.abi.byte);
    return lengths.map((length, r) => whole.subarray(starts[r]!, starts[r]! + length));
  }

  #checkCalls(calls: readonly Call[]): void {
    const [first] = calls;
    const other = calls.findIndex((name) => name !== first);
    if (other < 0) return;
    const said = [0, other].map((rank) => `${calls[rank]} on rank ${rank} (${this.#hosts[rank]})`);
    const message = `communicator: expected the same call on all ranks, got ${said.join(", ")}`;
    throw asShared(new EngineError("ranks-differ", message, { calls }));
  }

  #checkSame(name: Call, numbers: FloatArray, facts: Readonly<Record<string, string>>): Promise<void> {
    const ranks = { hosts: this.#hosts, exchange: <T>(value: T) => this.#meet(name, value) };
    return checkSame(ranks, name, { "type of numbers": numbers.constructor.name, ...facts });
  }

  async allToAll<A extends FloatArray>(send: readonly A[], receive: readonly A[]): Promise<void> {
    if (send.length !== this.size || receive.length !== this.size)
      throw new ShapeError(
        "allToAll",
        "send, receive",
        `${this.size} arrays each`,
        `${send.length} and ${receive.length}`,
      );
    const { rank, size } = this;
    if (send[rank]!.length !== receive[rank]!.length)
      throw new ShapeError("allToAll", `receive[${rank}]`, `${send[rank]!.length} numbers`, `${receive[rank]!.length}`);
    await this.#checkSame("allToAll", send[rank]!, {});
    receive[rank]!.set(send[rank]!);
    // In pairs, each round with another partner; so the arrays may be anywhere, at any distance from each other.
    for (let round = 1; round < size; round++) {
      const [to, from] = [(rank + round) % size, (rank - round + size) % size];
      this.#sendReceive(send[to]!, to, receive[from]!, from);
    }
  }

  #sendReceive(send: FloatArray, to: number, receive: FloatArray, from: number): void {
    const type = this.#typeOf(send);
    checkCount("allToAll", "send, receive", Math.max(send.length, receive.length));
    this.#call("MPI_Sendrecv", ({ call, abi: { world, ignoreStatus } }) =>
      call.sendReceive(
        ...([send, send.length, type, to, TAG] as const),
        ...([receive, receive.length, type, from, TAG] as const),
        ...([world, ignoreStatus] as const),
      ),
    );
  }

  async allGather(whole: FloatArray, counts: readonly number[]): Promise<void> {
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (counts.length !== this.size || total !== whole.length)
      throw new ShapeError(
        "allGather",
        "counts",
        `${this.size} counts, ${whole.length} in all`,
        `${counts.length}, ${total} in all`,
      );
    checkCount("allGather", "whole", whole.length);
    // Of fixed length, so that it fits for any number of ranks.
    const cut = createHash("sha256").update(Int32Array.from(counts)).digest("base64");
    await this.#checkSame("allGather", whole, { counts: cut });
    this.#gather(whole, counts, this.#typeOf(whole));
  }

  /** Each rank's part is at its place in `whole`. */
  #gather(whole: FloatArray | Uint8Array, counts: readonly number[], type: Handle): void {
    const [lengths, starts] = [Int32Array.from(counts), Int32Array.from(startsOf(counts))];
    this.#call("MPI_Allgatherv", ({ call, abi: { inPlace, world } }) =>
      call.allgatherv(inPlace, 0, type, whole, lengths, starts, type, world),
    );
  }

  #typeOf(array: FloatArray): Handle {
    return array instanceof Float32Array ? this.#mpi.abi.float : this.#mpi.abi.double;
  }

  #call(name: string, call: (mpi: MpiLibrary) => number): void {
    if (this.#isClosed) throw new EngineError("communicator", `${name}: the communicator is closed`);
    this.#watch?.count();
    const code = call(this.#mpi);
    if (code !== 0) this.#watch?.endIfDoomed();
    this.#mpi.check(code, name);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    // All ranks are here: none leaves while another still sends.
    await this.#meet("close", null);
    this.#isClosed = true;
    this.#mpi.check(this.#mpi.call.finalize(), "MPI_Finalize");
    this.#forgetExit();
    await this.#watch?.leave();
  }
}

/** The first index of each part and, last, the length of all. */
function startsOf(lengths: readonly number[]): number[] {
  const starts = [0];
  for (const length of lengths) starts.push(starts.at(-1)! + length);
  return starts;
}

function checkCount(where: string, argument: string, count: number): void {
  if (count > LARGEST_COUNT) throw new ShapeError(where, argument, `at most ${LARGEST_COUNT}`, `${count}`);
}
