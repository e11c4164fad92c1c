// Runs the parts of a report one after another, within its time budget, and keeps the record.

import { runLimited } from "./process.mjs";

/**
 * @typedef {{ part: string, title: string, limitS: number, command: (limitS: number) => readonly string[], env?: object }} Part
 *   command: executable and arguments, for the time limit that it gets
 */

/** Parts that would get less time than this are left out. */
const LEAST_SECONDS = 3;

/**
 * @param {readonly Part[]} parts
 * @param {import("./record.mjs").Record} record
 * @param {number} budgetS seconds for all parts
 */
export async function runParts(parts, record, budgetS) {
  const end = performance.now() + 1000 * budgetS;
  for (const { part, title, limitS, command, env } of parts) {
    const leftS = (end - performance.now()) / 1000;
    if (leftS < LEAST_SECONDS) {
      record.end(part, title, { outcome: "not reached: no time left", seconds: 0 });
      continue;
    }
    console.log(`== ${title}`);
    const allowedS = Math.min(limitS, leftS);
    const [file, ...args] = command(allowedS);
    const ending = await runLimited(file, args, { limitS: allowedS, env: { ...process.env, ...env } });
    console.log(`   ${ending.outcome}, ${ending.seconds.toFixed(1)} s`);
    record.end(part, title, ending);
  }
}
