// Damaged files of every kind, made from small whole ones with a fixed seed: each is read, or refused with a typed error, within bounds of
// memory, by a process that lives on. AXOGRAD_FUZZ=10 reads ten times as many; AXOGRAD_FUZZ_SEED chooses others.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { fuzz } from "../support/fuzz.ts";
import { CASES, FUZZ_SUBJECTS, PLANTED } from "../support/fuzzSubjects.ts";
import { mutate } from "../support/mutations.ts";

const test = suite("fuzz");
const times = Number(process.env.AXOGRAD_FUZZ ?? 1);
const seed = Number(process.env.AXOGRAD_FUZZ_SEED ?? 0);
/** A matrix may have 2^24 rows whatever the file: 64 MiB each for its offsets and twice for sorting, and garbage. */
const MEGABYTES = 700;
const PATIENCE_S = 60;

for (const [subject, { cases = CASES }] of Object.entries(FUZZ_SUBJECTS)) {
  test(`${subject}: read, or refused with a typed error`, async () => {
    const task = { seed, subject, cases: Math.ceil(cases * times), megabytes: MEGABYTES };
    const { findings, typed, read } = await fuzz(task, PATIENCE_S);
    assert.equal(findings, []);
    assert.is(typed + read, task.cases);
    assert.ok(typed > 0, "damage was found");
  });
}

test("damage leaves the sample whole, whether it is a plain array or a Buffer", () => {
  for (const sample of [Uint8Array.of(1, 2, 3, 4, 5), Buffer.of(1, 2, 3, 4, 5)]) {
    const whole = [...sample];
    const random = new RandomStream(keyOfSeed(0));
    const changed = Array.from({ length: 50 }, () => mutate(sample, random));
    assert.equal([...sample], whole);
    assert.ok(changed.some((bytes) => !Buffer.from(bytes).equals(Buffer.from(whole))));
  }
});

for (const [subject, pattern] of [
  ["throws", /RangeError: planted/],
  ["hangs", /no end within/],
  ["aborts", /the process ended \((SIGABRT|134|3)\)/],
  ["swells", /MiB more memory/],
] as const) {
  test(`a reader that ${subject} is found, with the name of each case`, async () => {
    assert.ok(subject in PLANTED);
    const { findings } = await fuzz({ seed, subject, cases: 2, megabytes: 100 }, 2);
    assert.ok(findings.length >= 1);
    for (const { name, what } of findings) {
      assert.match(name, new RegExp(`^${subject}#[01]$`));
      assert.match(what, pattern);
    }
  });
}

test.run();
