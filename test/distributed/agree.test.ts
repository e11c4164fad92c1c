import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ArgumentError, BackendError, EngineError, FileFormatError, ShapeError } from "../../src/core/errors.ts";
import { agreed, attempt, resultOf, throwAgreed } from "../../src/distributed/agree.ts";
import type { Communicator } from "../../src/distributed/communicator.ts";
import { onRanks } from "../support/ranks.ts";

const test = suite("agreement");

/** What each of three ranks comes to: its value or the error that it throws. */
function outcomes(action: (communicator: Communicator) => unknown): Promise<readonly unknown[]> {
  return onRanks(3, (communicator) => agreed(communicator, () => action(communicator)).catch((error) => error));
}

test("every rank keeps its own value where none fails", async () => {
  assert.equal(await outcomes(({ rank }) => rank * 2), [0, 2, 4]);
});

test("one rank's error is thrown by all, with its class, code and facts, and names the rank", async () => {
  const failing = new BackendError("out-of-memory", "arena: full", { bytes: 12, self: () => {} });
  const errors = await outcomes(({ rank }) => {
    if (rank === 1) throw failing;
  });
  for (const error of errors) {
    assert.instance(error, BackendError);
    const { name, code, message, facts } = error as BackendError;
    assert.equal(
      { name, code, message, facts },
      {
        name: "BackendError",
        code: "out-of-memory",
        message: "rank 1 (here): arena: full",
        facts: { bytes: 12 },
      },
    );
  }
  assert.is((errors[1] as Error).cause, failing);
});

test("where several ranks fail, all throw the error of the lowest", async () => {
  const errors = await outcomes(({ rank }) => {
    if (rank > 0) throw new ShapeError("sum", `part ${rank}`, "2", "3");
  });
  const messages = new Set(errors.map((error) => (error as Error).message));
  assert.equal([...messages], ["rank 1 (here): sum: expected 2, got 3 (part 1)"]);
  assert.ok(errors.every((error) => error instanceof ShapeError));
});

test("an error that all ranks throw alike stays as it is", async () => {
  const errors = await outcomes(() => {
    throw new ArgumentError("train", "lr", "a number above 0", "-1");
  });
  for (const error of errors) {
    assert.instance(error, ArgumentError);
    assert.is((error as Error).message, "train: expected a number above 0, got -1 (lr)");
    assert.is((error as Error).cause, undefined);
  }
});

test("other errors keep their name, code and stack", async () => {
  class OwnError extends EngineError {}
  const [own] = await outcomes(({ rank }) => {
    if (rank === 2) throw new OwnError("own", "message", {});
  });
  assert.instance(own, EngineError);
  assert.is((own as Error).name, "OwnError");
  const [system] = await outcomes(({ rank }) => {
    if (rank === 2) throw Object.assign(new RangeError("no space"), { code: "ENOSPC" });
  });
  const { name, code, message, stack } = system as Error & { code: string };
  assert.equal({ name, code, message }, { name: "RangeError", code: "ENOSPC", message: "rank 2 (here): no space" });
  assert.match(stack!, /^RangeError: rank 2 \(here\): no space\n +at /);
  const [text] = await outcomes(({ rank }) => {
    if (rank === 0) throw "a text";
  });
  assert.is((text as Error).message, "rank 0 (here): a text");
});

test("a failure can be sent along with what else is exchanged", async () => {
  const results = await onRanks(2, async (communicator) => {
    const outcome = await attempt(() => {
      if (communicator.rank === 1) throw new FileFormatError("a.npz", "4 numbers", "3");
      return 5;
    });
    const all = await communicator.exchange({ loss: 1, failure: outcome.failure });
    try {
      throwAgreed(
        communicator,
        all.map(({ failure }) => failure),
        outcome,
      );
      return resultOf(outcome);
    } catch (error) {
      return error;
    }
  });
  assert.ok(
    results.every((error) => error instanceof FileFormatError && /^rank 1 \(here\): a.npz/.test(error.message)),
  );
});

test.run();
