// What the host does in a training step, and when: writes, submits, waits. Its marks cost some microseconds each.

import { median, secondsOf, warmUp } from "../clock.mjs";
import { tutorialStep } from "../tutorialStep.mjs";

const STEPS = 30;
const QUICK_STEPS = 3;

export async function run({ folder, batch, quick, row }) {
  const { backend, step } = await tutorialStep(folder, batch, { profile: false });
  const marks = watch(backend.device);
  await warmUp(backend, step);
  const lines = [];
  for (let k = 0; k < (quick ? QUICK_STEPS : STEPS); k++) {
    marks.length = 0;
    const begin = performance.now();
    const ms = 1000 * (await secondsOf(backend, step, 1));
    lines.push({ ms, timeline: marks.map(({ at, ...mark }) => ({ ms: at - begin, ...mark })) });
  }
  const middle = median(lines.map(({ ms }) => ms));
  const { ms: stepMs, timeline } = lines.find(({ ms }) => ms === middle);
  row({ name: "timeline", batch, stepMs, ...factsOf(timeline), timeline });
  await backend.dispose();
}

function factsOf(timeline) {
  const of = (what) => timeline.filter((mark) => mark.what === what);
  const submits = of("submit").map(({ ms }) => ms);
  const [asked, answered] = [of("map"), of("mapped")];
  return {
    submits: submits.length,
    writes: of("write").length,
    firstSubmitMs: submits[0] ?? null,
    lastSubmitMs: submits.at(-1) ?? null,
    waitMs: asked.length > 0 && answered.length > 0 ? answered.at(-1).ms - asked[0].ms : null,
  };
}

/** A list that grows by what the host asks of a device from now on. */
function watch({ queue }) {
  const marks = [];
  const mark = (what, facts = {}) => marks.push({ at: performance.now(), what, ...facts });
  const ofQueue = Object.getPrototypeOf(queue);
  const { submit, writeBuffer } = ofQueue;
  const { mapAsync } = GPUBuffer.prototype;
  ofQueue.submit = function (...args) {
    mark("submit");
    return submit.apply(this, args);
  };
  ofQueue.writeBuffer = function (...args) {
    mark("write", { bytes: args[2].byteLength });
    return writeBuffer.apply(this, args);
  };
  GPUBuffer.prototype.mapAsync = async function (...args) {
    mark("map");
    await mapAsync.apply(this, args);
    mark("mapped");
  };
  return marks;
}
