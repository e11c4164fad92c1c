// The tape by itself, on a device that only keeps accounts: what it holds, what the reverse pass has to run again, and what becomes of it
// where the device has less memory than the budget.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, DeviceBuffer } from "../../src/backend/backend.ts";
import { BackendError } from "../../src/core/errors.ts";
import { plannedTape, type Shapes, Tape, type TapePlan, tapeBytes } from "../../src/ode/tape.ts";

/** Bytes of a starting state and of what an attempt leaves, in two and three buffers. */
const STARTS = { y: 20, k1: 5 };
const SAVES = { s1: 30, s2: 30, s3: 15 };
const ELEMENT = 4;
const START = 100;
const SAVED = 300;

class Accounts {
  /** What the device has. */
  room: number;
  bytes = 0;
  peak = 0;
  made = 0;
  refusals = 0;

  constructor(room = Number.POSITIVE_INFINITY) {
    this.room = room;
  }

  get backend(): Backend {
    const buffer = (label: string, length: number): DeviceBuffer => {
      const size = length * ELEMENT;
      if (this.bytes + size > this.room) throw new BackendError("out-of-memory", label);
      this.made++;
      this.bytes += size;
      this.peak = Math.max(this.peak, this.bytes);
      const release = () => {
        this.bytes -= size;
      };
      return { label, length, type: "float", release };
    };
    const buffersIfRoom = async (label: string, lengths: Shapes) => {
      const total = Object.values(lengths).reduce((sum, n) => sum + n * ELEMENT, 0);
      if (this.bytes + total <= this.room)
        return Object.fromEntries(Object.entries(lengths).map(([name, n]) => [name, buffer(`${label} ${name}`, n)]));
      this.refusals++;
      return null;
    };
    return { buffer, buffersIfRoom } as Partial<Backend> as Backend;
  }
}

/** A solve of so many attempts, and its reverse pass; each attempt finds what it left, or leaves it again. */
async function run(tape: Tape, attempts: number, expected = attempts): Promise<{ plan: TapePlan; again: number }> {
  const left = new Map<object, number>();
  left.set(await tape.begin(expected), 0);
  for (let i = 0; i < attempts; i++) {
    const { start, next, saves } = await tape.open(i);
    assert.is(left.get(start), i, "attempts go on from where the last one led");
    left.set(next, i + 1);
    if (saves) left.set(saves, i);
    await tape.close(i);
  }
  const plan = tape.plan();
  let again = 0;
  for (let i = attempts - 1; i >= 0; i--) {
    const { start, next, saves } = tape.recall(i, (from, to, record) => {
      again++;
      left.set(to, left.get(from)! + 1);
      left.set(record, left.get(from)!);
    });
    assert.equal(
      [start, next, saves].map((set) => left.get(set)),
      [i, i + 1, i],
      `attempt ${i} of ${attempts}`,
    );
    tape.forget(i);
  }
  return { plan, again };
}

function tapeOn(accounts: Accounts, budgetBytes: number): Tape {
  return new Tape(accounts.backend, STARTS, SAVES, ELEMENT, budgetBytes);
}

const test = suite("tape");

test("within any budget: it is kept where it can be, the plan counts what is run again, and is what was planned", async () => {
  const strategies = new Set<string>();
  for (const attempts of [1, 2, 5, 8, 40, 300]) {
    for (const budget of [0, 500, 1500, 4000, 12_000, 40_000, 200_000]) {
      const accounts = new Accounts();
      const tape = tapeOn(accounts, budget);
      const where = `${attempts} attempts in ${budget} bytes`;
      const { plan, again } = await run(tape, attempts);
      strategies.add(plan.strategy);
      assert.is(plan.attemptsRecomputed, again, where);
      assert.is(plan.attemptsStored, attempts - again, where);
      assert.is(plan.limitedBy, "budget");
      const sizes = sizesOf(budget);
      const shape = plannedTape(attempts, sizes);
      assert.equal([plan.attemptsStored, plan.stride], [shape.stored, shape.stride], where);
      const planned = tapeBytes(attempts, shape, sizes);
      assert.is(accounts.peak, planned, where);
      assert.ok(planned <= budget || shape.stored === 0, where);
      // Nothing takes less.
      const other = (stored: number, stride: number) => tapeBytes(attempts, { stored, stride }, sizes);
      if (planned > budget) for (let k = 0; k < 9; k++) assert.ok(planned <= other(0, 2 ** k), where);
      const { peak } = accounts;
      const { made } = accounts;
      assert.equal(await run(tape, attempts), { plan, again }, "again");
      assert.equal([accounts.peak, accounts.made], [peak, made], "a second solve takes and makes nothing more");
      tape.dispose();
      assert.is(accounts.bytes, 0);
    }
  }
  assert.equal([...strategies].sort(), ["checkpoint", "recompute", "store"]);
});

test("a solve that takes more or fewer attempts than expected is recorded all the same, and hardly takes more", async () => {
  for (const expected of [1, 8, 60]) {
    for (const attempts of [1, 5, 8, 40, 300]) {
      for (const budget of [1500, 4000, 12_000, 40_000]) {
        const accounts = new Accounts();
        const tape = tapeOn(accounts, budget);
        const where = `${attempts} attempts in ${budget} bytes, expected ${expected}`;
        const { plan, again } = await run(tape, attempts, expected);
        assert.is(plan.attemptsRecomputed, again, where);
        const sizes = sizesOf(budget);
        const planned = tapeBytes(attempts, plannedTape(attempts, sizes), sizes);
        // Sets that have become useless on the way stay until the next solve.
        assert.ok(accounts.peak <= 1.5 * Math.max(planned, budget) + SAVED, `${where}: ${accounts.peak}, ${planned}`);
        await run(tape, attempts);
        assert.ok(accounts.bytes <= Math.max(planned, budget), `${where}: ${accounts.bytes} in the end`);
        tape.dispose();
      }
    }
  }
});

test("attempts that nobody needed are neither stored nor recomputed", async () => {
  const tape = tapeOn(new Accounts(), 1e6);
  await tape.begin(8);
  for (let i = 0; i < 8; i++) {
    await tape.open(i);
    await tape.close(i);
  }
  tape.truncate(3);
  const { strategy, attempts, attemptsStored, attemptsRecomputed } = tape.plan();
  assert.equal([strategy, attempts, attemptsStored, attemptsRecomputed], ["store", 3, 3, 0]);
});

test("where the device has less than the budget, the tape keeps to what it got, and leaves some of it to others", async () => {
  for (const attempts of [1, 5, 8, 40, 300]) {
    for (const room of [1000, 1500, 4000, 12_000, 40_000]) {
      const least = tapeBytes(attempts, plannedTape(attempts, sizesOf(0)), sizesOf(0));
      if (least > room) continue;
      const accounts = new Accounts(room);
      const tape = tapeOn(accounts, 1e9);
      const { plan, again } = await run(tape, attempts);
      const where = `${attempts} attempts on a device of ${room} bytes`;
      assert.is(plan.attemptsRecomputed, again, where);
      assert.ok(accounts.peak <= room, where);
      const isFull = attempts * (START + SAVED) + START > room;
      assert.is(plan.limitedBy, isFull ? "device" : "budget", where);
      if (!isFull) continue;
      assert.ok(plan.budgetBytes <= room && again > 0, where);
      // Neither does it ask for what was refused once.
      const { refusals } = accounts;
      for (let k = 0; k < 3; k++) await run(tape, attempts);
      assert.ok(accounts.refusals <= refusals + 3, `${where}: ${accounts.refusals} refusals after ${refusals}`);
      tape.dispose();
      assert.is(accounts.bytes, 0);
    }
  }
});

test("a device without memory for the least that a tape takes fails with its own reason", async () => {
  const tape = tapeOn(new Accounts(START + SAVED), 1e9);
  try {
    await run(tape, 2);
    assert.unreachable();
  } catch (error) {
    assert.instance(error, BackendError);
    assert.is((error as BackendError).code, "out-of-memory");
  }
});

function sizesOf(budgetBytes: number) {
  return { bytesPerStart: START, bytesPerSaves: SAVED, budgetBytes };
}

test.run();
