// Calls run one after another, in the order in which they were made; nothing is released under one, and none waits for itself.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { CallQueue, callsOf } from "../../src/core/callQueue.ts";
import { EngineError } from "../../src/core/errors.ts";

const test = suite("call queue");

/** A call that writes its beginning and its end into a log, some turns apart. */
function call(log: string[], name: string, turns: number, fails = false): () => Promise<string> {
  return async () => {
    log.push(`${name} begins`);
    for (let i = 0; i < turns; i++) await null;
    if (fails) throw new Error(name);
    log.push(`${name} ends`);
    return name;
  };
}

function refuses(code: string, body: () => void): void {
  assert.throws(body, (e: unknown) => e instanceof EngineError && e.code === code);
}

async function rejects(code: string, promise: Promise<unknown>): Promise<void> {
  const error = await promise.then(
    () => null,
    (e: unknown) => e,
  );
  assert.is((error as EngineError | null)?.code, code);
}

test("calls do not overlap, changes take their turn, a call that fails blocks nobody", async () => {
  const queue = new CallQueue();
  const log: string[] = [];
  const first = queue.run("a", call(log, "a", 5));
  const second = queue.run("b", call(log, "b", 1, true));
  queue.change("set", () => log.push("change"));
  const third = queue.run("c", call(log, "c", 0));
  assert.equal(log, ["a begins"], "the first begins at once");
  assert.is(await first, "a");
  assert.match(String(await second.catch((e: unknown) => e)), "b");
  assert.is(await third, "c");
  assert.equal(log, ["a begins", "a ends", "b begins", "change", "c begins", "c ends"]);
  queue.change("set", () => log.push("at once"));
  assert.is(log.at(-1), "at once");
});

test("a call that throws before it has begun to wait ends like any other", async () => {
  const queue = new CallQueue();
  const failing = () => {
    throw new Error("at once");
  };
  for (const call of [queue.run("free", failing), queue.run("behind another", failing)])
    assert.match(String(await call.catch((e: unknown) => e)), "at once");
  assert.is(queue.isBusy, false);
  let isReleased = false;
  queue.end(() => {
    isReleased = true;
  });
  assert.ok(isReleased);
});

test("a queued change that fails fails the next call, and only that", async () => {
  const queue = new CallQueue();
  const log: string[] = [];
  const unhandled: unknown[] = [];
  const listener = (error: unknown): void => void unhandled.push(error);
  process.on("unhandledRejection", listener);
  const failing = (): never => {
    throw new Error("lost");
  };
  const first = queue.run("a", call(log, "a", 3));
  queue.change("set", failing);
  queue.change("set", () => log.push("behind it"));
  const second = queue.run("b", call(log, "b", 1));
  const third = queue.run("c", call(log, "c", 1));
  assert.is(await first, "a");
  assert.match(String(await second.catch((e: unknown) => e)), "lost");
  assert.is(await third, "c");
  const last = queue.run("d", call(log, "d", 3));
  queue.change("set", failing);
  assert.is(await last, "d");
  await new Promise(setImmediate);
  assert.throws(() => queue.change("set", () => log.push("too late")), /lost/);
  queue.change("set", () => log.push("at once"));
  assert.equal(log, ["a begins", "a ends", "c begins", "c ends", "d begins", "d ends", "at once"]);
  assert.is(queue.isBusy, false);
  assert.equal(unhandled, []);
  process.off("unhandledRejection", listener);
});

test("what is disposed of is released after its calls, and refuses others", async () => {
  const queue = new CallQueue();
  const log: string[] = [];
  const pending = [queue.run("a", call(log, "a", 3)), queue.run("b", call(log, "b", 3))];
  queue.end(() => log.push("released"));
  await rejects(
    "disposed",
    queue.run("c", async () => {}),
  );
  refuses("disposed", () => queue.change("set", () => {}));
  await Promise.all(pending);
  assert.equal(log, ["a begins", "a ends", "b begins", "b ends", "released"]);
  queue.end(() => log.push("again"));
  assert.is(log.at(-1), "again");
});

test("a call from within a callback is refused instead of waiting for itself", async () => {
  const queue = new CallQueue();
  const inner = await queue.run("outer", async () =>
    queue.callback("the loss", () => {
      const refused = queue.run("inner", async () => {});
      return refused.catch((e: unknown) => (e as EngineError).code);
    }),
  );
  assert.is(inner, "reentrant");
  await queue.run("afterwards", async () => {});
});

test("a call can be refused during others", async () => {
  const queue = new CallQueue();
  const pending = queue.run("gradients", async () => {});
  refuses("busy", () => queue.refuseDuring("step", ["gradients"]));
  queue.refuseDuring("step", ["forward"]);
  await pending;
  queue.refuseDuring("step", ["gradients"]);
});

test("what shares parameters shares a queue", () => {
  const [a, b] = [{}, {}];
  assert.is(callsOf(a), callsOf(a));
  assert.is.not(callsOf(a), callsOf(b));
});

test.run();
