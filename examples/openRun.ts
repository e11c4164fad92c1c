// Opens a run of the command line (`npx axograd train --out runs/a`), predicts with it, and trains it further.

import { batches, createBackend, openRun } from "axograd";

const steps = Number(process.argv[2] ?? 20);
const folder = process.argv[3] ?? "runs/a";

// Several runs can share a device. Without one, openRun opens the device that the run was trained on.
await using backend = await createBackend();
await using run = await openRun(folder, { checkpoint: "best", backend });
const { model, data, evaluation, trainer } = run;
const images = data.test ?? data.train;
console.log(`${folder}, preset ${run.config.preset}, after step ${run.step}`);

const [batch] = batches(images, { batchSize: 4 });
const logits = await model.forward({ data: batch!.images, batch: batch!.size }, evaluation);
for (let b = 0; b < batch!.size; b++) {
  const own = [...logits.subarray(b * images.classes, (b + 1) * images.classes)];
  console.log(`image ${b} shows a ${batch!.labels[b]}, read as ${own.indexOf(Math.max(...own))}`);
}

const before = await trainer.evaluate(images);
for await (const { step, loss } of trainer.fit({ steps: run.step + steps }))
  console.log(`step ${step}  loss ${loss.toFixed(4)}`);
const after = await trainer.evaluate(images);
console.log(`accuracy ${before.accuracy.toFixed(3)}, after ${steps} more steps ${after.accuracy.toFixed(3)}`);
