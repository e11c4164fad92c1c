// A part of the report runs as a process of its own: whatever happens to it, the report goes on.

import { spawn } from "node:child_process";

/** Processes that run now, for `stopAll`. */
const running = new Set();

/**
 * Runs a command, together with all that it starts, for at most `limitS` seconds.
 *
 * @returns {Promise<{ outcome: string, seconds: number }>} outcome: "done", or what went wrong
 */
export function runLimited(command, args, { limitS, env = process.env }) {
  const begin = performance.now();
  // A group of its own, so that what it starts ends with it.
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

/** Ends whatever runs. */
export function stopAll() {
  for (const child of running) killGroup(child);
}

function killGroup(child) {
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    // It has ended by itself in the meantime.
    if (error.code !== "ESRCH") throw error;
  }
}

function outcomeOf(code, signal) {
  if (signal !== null) return `ended by ${signal}`;
  return code === 0 ? "done" : `failed (exit code ${code})`;
}
