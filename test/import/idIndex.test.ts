import { suite } from "uvu";
import * as assert from "uvu/assert";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { idIndexOf } from "../../src/import/idIndex.ts";
import { type IdPolicy, settleNeuronIds } from "../../src/import/idPolicy.ts";
import { halvesOf, hashOf, IdTable } from "../../src/import/idTable.ts";
import type { IdIndex, NeuronIds } from "../../src/import/types.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("idIndex");

const placeOf = (i: number): string => `neurons.feather: row ${i}`;
const numbers = (...ids: readonly bigint[]): BigInt64Array => BigInt64Array.from(ids);

function found(index: IdIndex, ids: NeuronIds): number[] {
  const out = new Int32Array(ids.length).fill(-7);
  index.lookup(ids, out, (k) => `edges.csv:${k}`);
  return [...out];
}

test("numbers that differ in the last bit, or in the high half only, stay apart", () => {
  const base = 720575940599457990n;
  const index = idIndexOf(numbers(base, base + 1n, base + (1n << 32n), 7n, (1n << 63n) - 1n, 0n), placeOf);
  assert.equal(
    found(index, numbers(base + 1n, base + 2n, base, 7n + (1n << 32n), base + (1n << 32n))),
    [1, -1, 0, -1, 2],
  );
  assert.equal(found(index, numbers(7n, (1n << 63n) - 1n, 0n)), [3, 4, 5]);
});

test("text finds numbers exactly, in any notation of a number", () => {
  const index = idIndexOf(numbers(720575940599457990n, 7n, 9223372036854775807n, 720575940599457991n), placeOf);
  const texts = ["720575940599457991", "7", "7.0", "7e0", "9223372036854775807", "9223372036854775808"];
  assert.equal(found(index, texts), [3, 1, 1, 1, 2, -1]);
  assert.equal(found(index, ["DNa02", "720575940599457992", "99999999999999999999", "8.0"]), [-1, -1, -1, -1]);
});

test("text parses as BigInt does, at every length", () => {
  const stream = new RandomStream(keyOfSeed(3));
  for (let digits = 1; digits <= 19; digits++) {
    const text = Array.from({ length: digits }, (_, i) => (i === 0 ? 1 + stream.below(8) : stream.below(10))).join("");
    const index = idIndexOf(numbers(BigInt(text)), placeOf);
    assert.equal(found(index, [text, `${text.slice(0, -1)}${(Number(text.at(-1)) + 1) % 10}`]), [0, -1], text);
  }
});

test("ids that are all whole numbers in text are numbers; names are compared as written", () => {
  const whole = idIndexOf(["720575940599457990", "720575940599457991", "12"], placeOf);
  assert.ok(whole.ids instanceof BigInt64Array);
  assert.equal(found(whole, numbers(720575940599457991n, 12n)), [1, 2]);
  const named = idIndexOf(["DNa02", "7", "  x"], placeOf);
  assert.equal(found(named, numbers(7n, 8n)), [1, -1]);
  assert.equal(found(named, ["DNa02", "dna02", "7"]), [0, -1, 1]);
  const beyond = idIndexOf(["99999999999999999999", "5"], placeOf);
  assert.equal(found(beyond, ["5.0", "99999999999999999999"]), [1, 0]);
  assert.equal(found(beyond, numbers(5n, 6n)), [1, -1]);
});

test("another notation of a neuron's name is refused, with its place", async () => {
  const named = idIndexOf(["007", "DNa02"], placeOf);
  assert.equal(found(named, ["007", "8"]), [0, -1]);
  await fails(() => found(named, ["DNa02", "7"]), "file-format", /edges\.csv:1: expected one spelling/);
  await fails(() => found(named, numbers(7n)), "file-format", /one neuron or two/);
  await fails(() => found(named, ["DNa02 "]), "file-format", /one neuron or two/);
  const whole = idIndexOf(numbers(7n), placeOf);
  await fails(() => found(whole, ["007"]), "file-format", /"007", and "7" elsewhere/);
  assert.equal(found(whole, ["008"]), [-1]);
});

test("what is no id is refused, with its place", async () => {
  const index = idIndexOf(numbers(7n, 9n), placeOf);
  await fails(() => found(index, numbers(7n, -1n)), "file-format", /edges\.csv:1: .*"-1"/);
  await fails(() => found(index, ["7", ""]), "file-format", /edges\.csv:1: .*empty cell/);
  await fails(() => found(index, ["7.5"]), "file-format", /edges\.csv:0/);
  await fails(() => found(index, ["nan"]), "file-format", /edges\.csv:0/);
  await fails(() => found(index, ["7.2057594059945799e17"]), "file-format", /rounded/);
  await fails(() => found(idIndexOf(["a"], placeOf), ["\u200bb"]), "file-format", /invisible/);
  await fails(() => idIndexOf(numbers(3n, -5n), placeOf), "file-format", /row 1: .*"-5"/);
  await fails(() => idIndexOf(["a", "null"], placeOf), "file-format", /row 1/);
});

test("a neuron that occurs twice is refused, with both places", async () => {
  await fails(() => idIndexOf(numbers(5n, 6n, 5n), placeOf), "file-format", /row 2: .*every neuron once.*"5".*row 0/);
  await fails(() => idIndexOf(["a", "b", "b"], placeOf), "file-format", /row 2: .*every neuron once.*row 1/);
  await fails(() => idIndexOf(["7", "7.0"], placeOf), "file-format", /every neuron once/);
  await fails(() => idIndexOf(["7", "07", "x"], placeOf), "file-format", /one spelling/);
});

test("random lookups agree with a map, through many growths", () => {
  const stream = new RandomStream(keyOfSeed(11));
  // Ids close together, far apart, and multiples of powers of two.
  const draw = (): bigint => {
    const kind = stream.below(3);
    const low = BigInt(stream.below(2 ** 20));
    return kind === 0 ? low : kind === 1 ? low << 40n : (low << 20n) + BigInt(stream.below(16));
  };
  const ids = [...new Set(Array.from({ length: 30_000 }, draw))];
  const known = new Map(ids.map((id, i) => [id, i]));
  const index = idIndexOf(BigInt64Array.from(ids), placeOf);
  const wanted = BigInt64Array.from({ length: 60_000 }, (_, k) => (k % 2 === 0 ? draw() : ids[k % ids.length]!));
  const expected = Array.from(wanted, (id) => known.get(id) ?? -1);
  assert.ok(expected.includes(-1));
  assert.equal(found(index, wanted), expected);
  const table = new IdTable(1);
  const halves = halvesOf(wanted);
  const seen = new Map<bigint, number>();
  wanted.forEach((id, k) => {
    if (!seen.has(id)) seen.set(id, seen.size);
    assert.is(table.add(halves[2 * k]!, halves[2 * k + 1]!), seen.get(id));
  });
  assert.equal([...table.ids()], [...seen.keys()]);
});

test("hashes of neighbouring ids and of their high halves spread over the slots", () => {
  for (const idOf of [(i: number) => [i, 0], (i: number) => [0, i], (i: number) => [i << 12, i >> 3]] as const) {
    const used = new Set(Array.from({ length: 4096 }, (_, i) => hashOf(idOf(i)[0]!, idOf(i)[1]!) & 4095));
    // Of 4,096 random draws, 1 − 1/e = 63 % of the slots are met, with a deviation of 0.5 %.
    assert.ok(used.size > 0.6 * 4096, `${used.size}`);
  }
});

test("a policy forces the meaning of ids, and every decision is stated", async () => {
  const settle = (ids: NeuronIds, policy: IdPolicy) => settleNeuronIds(ids, policy, placeOf);
  const auto = settle(["10", "9", "7.0"], "auto");
  assert.equal(auto.ids, numbers(10n, 9n, 7n));
  assert.equal(auto.decision, {
    policy: "auto",
    taken: "numbers",
    count: 3,
    why: "Ids are whole numbers that name neurons, not positions: 3 ids (7 to 10).",
    smallest: "7",
    largest: "10",
  });
  const wide = settle(numbers(720575940599457990n, 720575940599457991n), "auto").decision;
  assert.match(
    wide.why,
    /2 ids \(720575940599457990 to 720575940599457991\); those above 2\^53 are kept to the last digit/,
  );
  const names = settle(["10", "b"], "auto").decision;
  assert.is(names.taken, "names");
  assert.match(names.why, /since "b" is no whole number/);
  assert.equal(settle(numbers(10n, 9n), "name").ids, ["10", "9"]);
  assert.is(settle(numbers(10n, 9n), "name").decision.why, "Ids are names as written, as demanded.");
  await fails(() => settle(["10", "007"], "number"), "file-format", /row 1: expected whole numbers.*"007"/);
  assert.match(JSON.stringify(wide), /"smallest":"720575940599457990"/);
});

test.run();
