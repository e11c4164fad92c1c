// Text: the next symbol of a Markov chain, whose entropy is the lowest possible loss.

import { ArgumentError } from "../../core/errors.ts";
import { deriveKey } from "../../core/random.ts";
import { drawMarkovChain, drawSymbols, predictability } from "./markovChain.ts";
import { generatedSet, type TaskSet, taskSet } from "./taskSet.ts";

const LETTERS = [..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ."] as const;
/** The stationary distribution takes states³ operations. */
const MAX_STATES = 1024;

/**
 * Symbols of a stationary Markov chain, one-hot [steps, symbols]; the target of each step is the symbol after it. The first order − 1
 * steps do not count, since they show less than the state of the chain: so the best mean loss is the entropy rate, exactly.
 */
export const text: TaskSet = taskSet("text", {
  summary: "predict the next symbol of a random text, at every step",
  options: {
    symbols: { kind: "whole", help: "letters of the text", default: 6, least: 2, most: LETTERS.length },
    order: { kind: "whole", help: "letters on which the next one depends", default: 2, least: 1, most: 4 },
    concentration: {
      kind: "number",
      help: "of the Dirichlet distribution of the next letter; smaller: a text that is easier to predict",
      default: 0.2,
      least: 0.05,
      most: 100,
    },
    steps: { kind: "whole", help: "letters of a sample", default: 24, least: 2, most: 65_536 },
  },
  make: ({ options, key, parts }) => {
    const { symbols, order, concentration, steps } = options;
    if (symbols ** order > MAX_STATES) {
      throw new ArgumentError("text", "order", `symbols^order of at most ${MAX_STATES}`, `${symbols}^${order}`);
    }
    if (steps < order) throw new ArgumentError("text", "steps", `at least ${order}, the order`, `${steps}`);
    const chain = drawMarkovChain(symbols, order, concentration, deriveKey(key, "chain"));
    const best = predictability(chain, order);
    const memoryless = predictability(chain, 1);
    const chance = predictability(chain, 0);
    const sets = parts((count, partKey) =>
      generatedSet(
        {
          inputSize: symbols,
          steps,
          target: { kind: "class", width: 1, classes: symbols, times: steps },
          weighted: order > 1,
          source: `text: a Markov chain of order ${order} over ${symbols} letters`,
          classNames: LETTERS.slice(0, symbols),
        },
        count,
        partKey,
        (stream, { inputs, targets, weights }) => {
          const drawn = new Uint32Array(steps + 1);
          drawSymbols(chain, stream, drawn);
          for (let t = 0; t < steps; t++) {
            inputs[t * symbols + drawn[t]!] = 1;
            targets[t] = drawn[t + 1]!;
          }
          weights.fill(1, order - 1);
        },
      ),
    );
    const reason = "the chain's probabilities and its stationary distribution are known";
    const known = (of: "accuracy" | "entropy") => ({
      best: best[of],
      memoryless: memoryless[of],
      chance: chance[of],
      reason,
    });
    return { ...sets, known: { loss: known("entropy"), accuracy: known("accuracy") } };
  },
});
