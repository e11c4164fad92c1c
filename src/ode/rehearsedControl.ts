// What a device answers to the host while it solves, in rehearsals (backend/rehearsal.ts): solves of a given number of attempts.

import type { Answers } from "../backend/rehearsal.ts";
import { FIRST_GUESS } from "./solverForLayout.ts";

/** Answers of solves that take `attempts` attempts each, where the device allows as many. */
export function rehearsedControl(attempts: number): Answers {
  let active = 0;
  let polls = 0;
  const pollsNeeded = Math.ceil(Math.max(0, attempts - FIRST_GUESS) / (FIRST_GUESS / 4));
  return (label) => {
    // Buffers of the solver are named "<set> <number>".
    const name = label.slice(label.lastIndexOf(" ") + 1);
    switch (name) {
      // Read after each attempt, where the host waits for it.
      case "active":
        active = (active + 1) % attempts;
        return active === 0 ? 0 : 1;
      // Where the host runs ahead: whether the attempts so far were enough, and whether a sample still runs.
      case "complete":
        polls = (polls + 1) % (pollsNeeded + 1);
        return polls === 0 ? 1 : 0;
      case "running":
        return polls === 0 ? 0 : 1;
      case "nSteps":
        return attempts;
      case "status":
      case "voids":
      case "t":
        return 0;
      default:
        return undefined;
    }
  };
}
