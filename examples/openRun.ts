// Opens a run of the command line (`npx axograd train --out runs/a`), predicts with it, and trains it further.

import { createBackend, firstSamples, openRun } from "axograd";

const steps = Number(process.argv[2] ?? 20);
const folder = process.argv[3] ?? "runs/a";

// Several runs can share a device. Without one, openRun opens the device that the run was trained on.
await using backend = await createBackend();
await using run = await openRun(folder, { checkpoint: "best", backend });
const { model, data, evaluation, trainer } = run;
const images = data.test ?? data.train;
console.log(`${folder}, preset ${run.config.preset}, after step ${run.step}`);

const { inputs, targets, size } = await firstSamples(images, 4);
const logits = await model.forward({ data: inputs, batch: size }, evaluation);
const classes = logits.length / size;
for (let b = 0; b < size; b++) {
  const own = [...logits.subarray(b * classes, (b + 1) * classes)];
  console.log(`image ${b} shows a ${targets[b]}, read as ${own.indexOf(Math.max(...own))}`);
}

const { metrics: before } = await trainer.evaluate(images);
for await (const { step, loss } of trainer.fit({ steps: run.step + steps }))
  console.log(`step ${step}  loss ${loss.toFixed(4)}`);
const { metrics: after } = await trainer.evaluate(images);
console.log(`accuracy ${before.accuracy!.toFixed(3)}, after ${steps} more steps ${after.accuracy!.toFixed(3)}`);
