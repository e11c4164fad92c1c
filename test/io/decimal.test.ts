import { suite } from "uvu";
import * as assert from "uvu/assert";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { parseDecimal, parseWhole } from "../../src/io/decimal.ts";

const test = suite("decimal");

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const parse = (text: string): number => parseDecimal(bytes(`<${text}>`), 1, 1 + text.length);

test("random numbers in many notations come out as Number reads them, to the bit", () => {
  const stream = new RandomStream(keyOfSeed(1));
  const words = new Uint32Array(2);
  for (let k = 0; k < 20_000; k++) {
    words[0] = stream.bits();
    words[1] = stream.bits();
    const any = new Float64Array(words.buffer)[0]!;
    const value = Number.isFinite(any) && k % 2 === 0 ? any : (stream.uniform() - 0.5) * 10 ** (k % 25);
    for (const text of [`${value}`, value.toFixed(k % 20), value.toExponential(k % 20), `${Math.fround(value)}`]) {
      if (/[nN]/.test(text)) continue;
      assert.ok(Object.is(parse(text), Number(text)), `${text} gave ${parse(text)}`);
    }
  }
});

test("short forms are read", () => {
  for (const text of ["0", "-0", "+1", ".5", "5.", "-.5e3", "1E-400", "0.1", "123456789012345678"]) {
    assert.ok(Object.is(parse(text), Number(text)), text);
  }
});

test("what is not a finite decimal number is NaN", () => {
  for (const text of [
    "",
    " ",
    "-",
    ".",
    "+.",
    "1e",
    "e5",
    "0x10",
    "1 2",
    "1,5",
    "nan",
    "inf",
    "Infinity",
    "1e400",
    "--1",
  ]) {
    assert.ok(Number.isNaN(parse(text)), JSON.stringify(text));
  }
});

test("whole numbers are read in their shortest form only", () => {
  const whole = (text: string): number => parseWhole(bytes(text), 0, text.length);
  assert.equal(["0", "7", "9007199254740991"].map(whole), [0, 7, 9007199254740991]);
  for (const text of ["", "00", "07", "-1", "+1", "1.0", "9007199254740993", "720575940629970489"])
    assert.is(whole(text), -1);
});

test("numbers of any length are read whole, and text of any length is none", () => {
  const parse = (text: string): number => {
    const bytes = new TextEncoder().encode(text);
    return parseDecimal(bytes, 0, bytes.length);
  };
  assert.is(parse(`1.${"0".repeat(500)}e5`), 1e5);
  assert.is(parse(`0.${"0".repeat(500)}1e500`), 0.1);
  assert.ok(Number.isNaN(parse(`${"9".repeat(100_000)}x`)));
  assert.ok(Number.isNaN(parse(`1${"0".repeat(500)}`)));
});

test.run();
