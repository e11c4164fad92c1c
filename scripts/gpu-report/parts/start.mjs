// Start of a process without compiled shaders: how long a user waits for the first steps, and when steps reach full speed.

import { writeFileSync } from "node:fs";
import { sourcesFile, tutorialStep } from "../tutorialStep.mjs";

const STEPS = 12;
const QUICK_STEPS = 3;

export async function run({ folder, batch, quick, row }) {
  const begin = performance.now();
  const { backend, step, compiled } = await tutorialStep(folder, batch, { profile: false });
  const setUpMs = performance.now() - begin;
  const times = [];
  for (let k = 0; k <= (quick ? QUICK_STEPS : STEPS); k++) {
    const before = performance.now();
    await step(k);
    await backend.finish();
    times.push(performance.now() - before);
  }
  const { compileMs, sources } = compiled();
  const [firstMs, ...laterMs] = times;
  row({ name: "cold start", batch, setUpMs, firstMs, compileMs, pipelines: sources.length, laterMs });
  writeFileSync(sourcesFile(folder, batch), JSON.stringify(sources));
  await backend.dispose();
}
