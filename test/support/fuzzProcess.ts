// One process of fuzz.ts: reads damaged files of one subject, one after another, and reports what is neither a value nor a typed error.

import { openSync, writeFileSync, writeSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { EngineError } from "../../src/core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { caseText, type FuzzReport, type FuzzTask } from "./fuzz.ts";
import { FUZZ_SUBJECTS, type FuzzSubject, PLANTED } from "./fuzzSubjects.ts";
import { mutate } from "./mutations.ts";

const { dir, seed, subject, firstCase, cases, megabytes } = JSON.parse(process.argv[2]!) as FuzzTask;
const { extension, make, read } = subjectOf(subject);
const { samples, wrap = (bytes) => bytes } = await make(dir);
const file = join(dir, `damaged${extension}`);
const name = openSync(join(dir, "case"), "r+");
const counts = { typed: 0, read: 0 };

// The whole files first: a sample that cannot be read finds nothing.
for (const [k, sample] of samples.entries()) {
  await writeFile(file, wrap(sample));
  try {
    await read(file);
  } catch (error) {
    await send({ finding: { name: `${subject}: whole sample ${k}`, what: String(error) } });
    await send({ done: counts });
    process.exit();
  }
}
for (let at = firstCase; at < cases; at++) {
  const random = new RandomStream(deriveKey(deriveKey(keyOfSeed(seed), subject), at));
  const sample = samples[random.below(samples.length)]!;
  writeFileSync(file, wrap(mutate(sample, random)));
  writeSync(name, caseText(at), 0);
  const what = await outcome();
  if (what !== null) await send({ finding: { name: `${subject}#${at}`, what } });
}
await send({ done: counts });
process.exit();

/** What is wrong with how reading ended, or null. */
async function outcome(): Promise<string | null> {
  const before = peak();
  try {
    await read(file);
    counts.read++;
  } catch (error) {
    if (!(error instanceof EngineError)) return error instanceof Error ? (error.stack ?? error.message) : String(error);
    counts.typed++;
    if (error.message.length > 4000) return `a message of ${error.message.length} characters`;
  }
  const more = peak() - before;
  return more > megabytes ? `${Math.round(more)} MiB more memory` : null;
}

/** The most resident memory so far, MiB. */
function peak(): number {
  return process.resourceUsage().maxRSS / 1024;
}

function subjectOf(name: string): FuzzSubject {
  const found = FUZZ_SUBJECTS[name] ?? PLANTED[name];
  if (found === undefined) throw new RangeError(`fuzz: expected one of ${Object.keys(FUZZ_SUBJECTS)}, got ${name}`);
  return found;
}

function send(report: FuzzReport): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send!(report, undefined, undefined, (error) => (error ? reject(error) : resolve()));
  });
}
