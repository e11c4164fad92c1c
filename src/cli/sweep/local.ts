// Runs of a sweep as processes on this machine, a few at a time. Each has its own log; a failed one does not stop the others. Where the runs are
// divided among ranks, each rank does this with its share.

import { type ChildProcess, spawn } from "node:child_process";
import { open } from "node:fs/promises";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isObject } from "../../core/plainObject.ts";
import { writeError } from "../../io/durable.ts";
import type { RunEvent } from "../../train/metrics.ts";
import { duration, StatusLine } from "../../train/progress.ts";
import type { StepMetrics } from "../../train/trainer.ts";
import type { Console } from "../console.ts";
import { describeValues } from "../describe.ts";
import { exitCodeOf, STOP_SIGNALS } from "../signals.ts";
import type { Division, RunEnd } from "./division.ts";
import type { RunState, SweepFolder } from "./sweepFolder.ts";

/** The command line, as Node runs it. */
export const MAIN: string = fileURLToPath(new URL("../main.js", import.meta.url));

/** What holds for all runs of a command. */
export interface RunOptions {
  /** Runs at a time, on each rank. */
  readonly parallel: number;
  /** Runs may take folders without watching the heartbeat of their processes. */
  readonly takeOver: boolean;
  /** Runs that are stated to take more memory than there is are refused. */
  readonly memoryCheck: boolean;
}

/** What this process has for its runs. */
export interface Here {
  readonly division: Division;
  /** Threads for all runs together. */
  readonly threads: number;
  readonly env: NodeJS.ProcessEnv;
  readonly console: Console;
  readonly progress: SweepProgress;
  /** Aborts when no further run may start, and the running ones must stop. */
  readonly signal: AbortSignal;
  /** Throws once another process has taken over the sweep's folder. */
  readonly assertHeld: () => Promise<void>;
}

/** Whether nothing is left to do. */
export function isDone({ status, pageDue }: RunState): boolean {
  return status === "finished" && !pageDue;
}

/** The state of a run once no other process works on it, or that cannot be known, or a signal has come. */
async function whenFree(folder: SweepFolder, state: RunState, signal: AbortSignal): Promise<RunState> {
  let now = state;
  while (now.status === "running" && now.error === null && !signal.aborted) {
    await pause(LOOK_MS, undefined, { signal }).catch(() => {});
    [now] = (await folder.settledStates([now.run], {})) as [RunState];
  }
  return now;
}

/** Between two checks of a run that another process works on. */
const LOOK_MS = 1000;

/**
 * Starts or continues runs, as many as the division gives this process; resolves when the last of its own has ended. If another process works
 * on a run (of a killed sweep, say), waits for it and continues the run if it stops. Starts no further run after a signal.
 *
 * @throws the first error that is not about a run, once all runs have ended
 */
export async function launchLocally(
  folder: SweepFolder,
  states: readonly RunState[],
  { parallel, takeOver, memoryCheck }: RunOptions,
  { division, threads, env, console, progress, signal, assertHeld }: Here,
): Promise<void> {
  const workers = Math.min(parallel, Math.ceil(states.length / division.size));
  const each = Math.max(1, Math.floor(threads / Math.max(1, workers)));
  /** Repeats until the run is done: another process may work on it when its turn comes. */
  const finish = async (state: RunState): Promise<RunState> => {
    const { run } = state;
    let now = state;
    if (now.status === "running") console.status(`${run.name}: waiting for the process that works on it`);
    do {
      now = await whenFree(folder, now, signal);
      if (signal.aborted || isDone(now) || now.status === "running") return now;
      await assertHeld();
      await runChild(folder, now, { threads: each, env, takeOver, memoryCheck, signal }, (metrics) =>
        progress.step(run.name, metrics),
      );
      now = await folder.state(run);
    } while (now.status === "running" && !signal.aborted);
    if (now.pageDue && !signal.aborted)
      console.warn(`${run.name}: its page could not be made; see ${folder.log(run.name)}`);
    return now;
  };
  const work = async (): Promise<void> => {
    while (!signal.aborted) {
      const index = await division.next();
      if (index === null) return;
      const state = states[index]!;
      progress.begin(state.run.name);
      const end = endOf(await finish(state));
      progress.end(state.run.name, end);
      await division.ended(index, end);
    }
  };
  try {
    const outcomes = await Promise.allSettled(Array.from({ length: workers }, work));
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  } finally {
    progress.clear();
  }
}

function endOf({ status, task, summary, error }: RunState): RunEnd {
  const judged = summary?.test ?? summary?.validation;
  return { status, outcome: error ?? (task && judged && `${judged.set} ${describeValues(judged, task)}`) ?? "" };
}

/** The words after `axograd` that start a run, continue one, or make the page that one lacks. */
function runArgs(folder: SweepFolder, { run, begun, pageDue }: RunState): string[] {
  if (pageDue) return ["report", folder.run(run.name)];
  const target = begun ? ["--resume", folder.run(run.name)] : ["--out", folder.run(run.name), "--overwrite"];
  return ["train", ...target, "--config", folder.config(run.name)];
}

type ChildOptions = Omit<RunOptions, "parallel"> & {
  readonly threads: number;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
};

async function runChild(
  folder: SweepFolder,
  state: RunState,
  { threads, env, takeOver, memoryCheck, signal }: ChildOptions,
  onStep: (metrics: StepMetrics) => void,
): Promise<void> {
  const { name, settings } = state.run;
  const file = folder.log(name);
  const failed = (cause: unknown): never => {
    throw writeError(file, cause);
  };
  const log = await open(file, "w").catch(failed);
  try {
    const shared = "threads" in settings ? [] : ["--threads", `${threads}`];
    const taking = takeOver && !state.pageDue ? ["--take-over"] : [];
    const unchecked = memoryCheck || state.pageDue ? [] : ["--no-memory-check"];
    const args = [...process.execArgv, MAIN, ...runArgs(folder, state), ...shared, ...taking, ...unchecked, "--json"];
    // In a separate process group, so that only this process passes Ctrl-C on, once.
    const child = spawn(process.execPath, args, {
      env,
      stdio: ["ignore", "pipe", log.fd],
      detached: true,
      windowsHide: true,
    });
    const { words, code } = await lastWords(child, signal, onStep);
    await log.writeFile(words).catch(failed);
    const isUnsaid = code !== null && isFailure(code) && (await folder.lastError(name)) === null;
    if (isUnsaid) await log.writeFile(`axograd: the process ended with exit code ${code}\n`).catch(failed);
  } finally {
    await log.close();
  }
}

/** Whether a process with this exit code has failed; else it has ended well, or was stopped by a signal. */
function isFailure(code: number): boolean {
  return code !== 0 && !STOP_SIGNALS.some((name) => code === exitCodeOf(name));
}

/** Waits for the end of a process. @returns lines for its log, besides its stderr; its exit code, null if it has none */
async function lastWords(
  child: ChildProcess,
  signal: AbortSignal,
  onStep: (metrics: StepMetrics) => void,
): Promise<{ readonly words: string; readonly code: number | null }> {
  const interrupt = (): void => {
    child.kill("SIGINT");
  };
  // The child must not outlive this process if that exits at once.
  const kill = (): void => {
    child.kill("SIGKILL");
  };
  signal.addEventListener("abort", interrupt);
  process.once("exit", kill);
  const unknown: string[] = [];
  createInterface({ input: child.stdout! }).on("line", (line) => {
    const event = eventOf(line);
    if (event === null) unknown.push(line);
    else if (event.event === "step") onStep(event);
  });
  try {
    if (signal.aborted) interrupt();
    const reason = await new Promise<string | null>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("close", (_code, killer) => resolve(killer && `the process was ended by ${killer}`));
    });
    if (reason && !signal.aborted) unknown.push(`axograd: ${reason}`);
    return { words: unknown.map((line) => `${line}\n`).join(""), code: child.exitCode };
  } finally {
    process.off("exit", kill);
    signal.removeEventListener("abort", interrupt);
  }
}

/** The event of a line of `--json`; null if a library, such as a driver, wrote the line. */
function eventOf(line: string): RunEvent | null {
  try {
    const event: unknown = JSON.parse(line);
    return isObject(event) && "event" in event ? (event as unknown as RunEvent) : null;
  } catch {
    return null;
  }
}

/** Shows progress on one line, and a line for each run that ends. */
export class SweepProgress {
  readonly #rank: string;
  readonly #total: number;
  readonly #console: Console;
  readonly #line: StatusLine | null;
  readonly #running = new Map<string, StepMetrics | null>();
  #ended = 0;

  /** @param rank  this one, in words; empty: there is one process */
  constructor(total: number, console: Console, rank = "") {
    this.#rank = rank;
    this.#total = total;
    this.#console = console;
    this.#line = console.showsProgress ? new StatusLine(process.stderr) : null;
  }

  begin(name: string): void {
    this.#running.set(name, null);
    this.#show();
  }

  step(name: string, metrics: StepMetrics): void {
    this.#running.set(name, metrics);
    this.#show();
  }

  /** @param rank  where it ran; empty: there is one process */
  end(name: string, { status, outcome }: RunEnd, rank: string = this.#rank): void {
    this.#running.delete(name);
    this.#ended++;
    this.clear();
    const words = [`[${this.#ended}/${this.#total}] ${name}`, rank, status, outcome];
    this.#console.status(words.filter((word) => word !== "").join("  "));
    if (this.#running.size > 0) this.#show();
  }

  clear(): void {
    this.#line?.clear();
  }

  #show(): void {
    this.#line?.show(() => {
      const runs = [...this.#running].map(([name, m]) =>
        m
          ? `${name} step ${m.step}/${m.lastStep} loss ${m.meanLoss.toFixed(3)} ${duration(m.eta)} left`
          : `${name} starts`,
      );
      return [`${this.#ended}/${this.#total} runs`, ...runs].join("  ");
    });
  }
}
