// Delayed match: a cue, a delay, a probe; whether both are the same.

import { generatedSet, type TaskSet, taskSet } from "./taskSet.ts";

const ANSWERS = ["different", "same"] as const;

/**
 * A trial: fixation, cue, delay, probe, answer. Inputs are [steps, 1 + cues]: 1 until the answer begins, then 0; cue and probe one-hot in
 * the other channels. Cue and probe agree in half of the trials; otherwise they are two different ones, all equally likely. The target is
 * 1 if they agree, else 0, at each step of the answer; other steps do not count.
 */
export const match: TaskSet = taskSet("match", {
  summary: "remember a cue over a delay and tell whether a probe is the same",
  options: {
    cues: { kind: "whole", help: "different cues", default: 4, least: 2, most: 1024 },
    fixation: { kind: "whole", help: "steps before the cue", default: 1, least: 0, most: 4096 },
    stimulus: { kind: "whole", help: "steps of the cue, and of the probe", default: 3, least: 1, most: 4096 },
    delay: { kind: "whole", help: "steps between cue and probe", default: 8, least: 0, most: 4096 },
    answer: { kind: "whole", help: "steps of the answer", default: 4, least: 1, most: 4096 },
  },
  make: ({ options, parts }) => {
    const { cues, fixation, stimulus, delay, answer } = options;
    const probeFrom = fixation + stimulus + delay;
    const answerFrom = probeFrom + stimulus;
    const steps = answerFrom + answer;
    const channels = 1 + cues;
    const sets = parts((count, key) =>
      generatedSet(
        {
          inputSize: channels,
          steps,
          target: { kind: "class", width: 1, classes: 2, times: steps },
          weighted: true,
          source: `match: ${cues} cues, a delay of ${delay} steps`,
          classNames: ANSWERS,
        },
        count,
        key,
        (stream, { inputs, targets, weights }) => {
          const same = stream.below(2);
          const cue = stream.below(cues);
          const probe = same ? cue : (cue + 1 + stream.below(cues - 1)) % cues;
          const show = (channel: number, from: number, end: number) => {
            for (let t = from; t < end; t++) inputs[t * channels + channel] = 1;
          };
          show(0, 0, answerFrom);
          show(1 + cue, fixation, fixation + stimulus);
          show(1 + probe, probeFrom, answerFrom);
          targets.fill(same, answerFrom);
          weights.fill(1, answerFrom);
        },
      ),
    );
    const reason = "cue and probe decide the answer; neither of them alone says anything";
    return {
      ...sets,
      known: {
        accuracy: { best: 1, memoryless: 0.5, chance: 0.5, reason },
        loss: { best: 0, memoryless: Math.LN2, chance: Math.LN2, reason },
      },
    };
  },
});
