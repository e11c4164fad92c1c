// Runs a part of the report in a separate process, so that the report survives its failure.

import { spawn } from "node:child_process";

/** Running processes, for `stopAll`. */
const running = new Set();

/**
 * Runs a command and its child processes for at most `limitS` seconds.
 *
 * @returns {Promise<{ outcome: string, seconds: number }>} outcome: "done", or what went wrong
 */
export function runLimited(command, args, { limitS, env = process.env }) {
  const begin = performance.now();
  // Its own process group, so that its children end with it.
  const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"], env, detached: true });
  running.add(child);
  return new Promise((settle) => {
    let cut = false;
    const timer = setTimeout(() => {
      cut = true;
      killGroup(child);
    }, 1000 * limitS);
    const end = (outcome) => {
      clearTimeout(timer);
      running.delete(child);
      settle({ outcome, seconds: (performance.now() - begin) / 1000 });
    };
    child.on("error", (error) => end(`could not start: ${error.message}`));
    child.on("close", (code, signal) => end(cut ? `cut after ${limitS.toFixed(0)} s` : outcomeOf(code, signal)));
  });
}

/** Ends all running processes. */
export function stopAll() {
  for (const child of running) killGroup(child);
}

function killGroup(child) {
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    // It has ended in the meantime.
    if (error.code !== "ESRCH") throw error;
  }
}

function outcomeOf(code, signal) {
  if (signal !== null) return `ended by ${signal}`;
  return code === 0 ? "done" : `failed (exit code ${code})`;
}
