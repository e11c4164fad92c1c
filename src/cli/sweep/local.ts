// Runs of a sweep as processes on this machine, a few at a time. Each has its own log; one that fails leaves the others alone.

import { type ChildProcess, spawn } from "node:child_process";
import { open } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isObject } from "../../core/plainObject.ts";
import { writeError } from "../../io/durable.ts";
import type { RunEvent } from "../../train/metrics.ts";
import { duration, StatusLine } from "../../train/progress.ts";
import type { StepMetrics } from "../../train/trainer.ts";
import type { Console } from "../console.ts";
import type { Interruption } from "../interruption.ts";
import type { RunLock } from "../runLock.ts";
import type { RunState, SweepFolder } from "./sweepFolder.ts";

/** The command line, as Node runs it. */
export const MAIN: string = fileURLToPath(new URL("../main.js", import.meta.url));

export interface LocalOptions {
  /** Runs at a time. */
  readonly parallel: number;
  readonly console: Console;
  readonly interruption: Interruption;
  /** Of the sweep. */
  readonly lock: RunLock;
  /** Runs may take folders from processes that cannot be asked whether they live. */
  readonly takeOver: boolean;
}

/** Whether nothing is left to do. */
export function isDone({ status, pageDue }: RunState): boolean {
  return status === "finished" && !pageDue;
}

/** The state of a run once no other process works on it, nobody can tell whether one does, or a signal has come. */
async function whenFree(folder: SweepFolder, state: RunState, signal: AbortSignal): Promise<RunState> {
  let now = state;
  while (now.status === "running" && now.error === null && !signal.aborted) {
    await pause(LOOK_MS, undefined, { signal }).catch(() => {});
    [now] = (await folder.settledStates([now.run], {})) as [RunState];
  }
  return now;
}

/** Between two looks at a run that another process works on. */
const LOOK_MS = 1000;

/**
 * Starts runs, or continues them; resolves when the last process has ended. One that another process works on, perhaps of a sweep that
 * was killed, is waited for and continued if that process stops. After a signal no further one is started.
 */
export async function launchLocally(
  folder: SweepFolder,
  states: readonly RunState[],
  { parallel, console, interruption, lock, takeOver }: LocalOptions,
): Promise<void> {
  const workers = Math.min(parallel, states.length);
  const threads = Math.max(1, Math.floor(availableParallelism() / Math.max(1, workers)));
  const progress = new SweepProgress(states.length, console);
  const waiting = states.values();
  const { signal } = interruption;
  /** Until nothing is left to do: a run may be in other hands when its turn comes. */
  const finish = async (state: RunState): Promise<RunState> => {
    const { run } = state;
    let now = state;
    if (now.status === "running") console.status(`${run.name}: waits for the process that works on it`);
    do {
      now = await whenFree(folder, now, signal);
      if (signal.aborted || isDone(now) || now.status === "running") return now;
      await lock.assertHeld({ now: true });
      await runChild(folder, now, { threads, takeOver, signal }, (metrics) => progress.step(run.name, metrics));
      now = await folder.state(run);
    } while (now.status === "running" && !signal.aborted);
    if (now.pageDue && !signal.aborted)
      console.warn(`${run.name}: there is no page about it; see ${folder.log(run.name)}`);
    return now;
  };
  const work = async (): Promise<void> => {
    // One iterator for all workers: each takes the next run that nobody has.
    for (const state of waiting) {
      if (signal.aborted) return;
      progress.begin(state.run.name);
      progress.end(await finish(state));
    }
  };
  try {
    await Promise.all(Array.from({ length: workers }, work));
  } finally {
    progress.clear();
  }
}

/** The words after `axograd` that start a run, continue one, or make the page that one lacks. */
function runArgs(folder: SweepFolder, { run, begun, pageDue }: RunState): string[] {
  if (pageDue) return ["report", folder.run(run.name)];
  const target = begun ? ["--resume", folder.run(run.name)] : ["--out", folder.run(run.name), "--overwrite"];
  return ["train", ...target, "--config", folder.config(run.name)];
}

async function runChild(
  folder: SweepFolder,
  state: RunState,
  { threads, takeOver, signal }: { readonly threads: number; readonly takeOver: boolean; readonly signal: AbortSignal },
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
    const args = [...process.execArgv, MAIN, ...runArgs(folder, state), ...shared, ...taking, "--json"];
    // In a group of its own, so that Ctrl-C reaches it once: from here.
    const child = spawn(process.execPath, args, {
      stdio: ["ignore", "pipe", log.fd],
      detached: true,
      windowsHide: true,
    });
    const words = await lastWords(child, signal, onStep);
    await log.writeFile(words).catch(failed);
  } finally {
    await log.close();
  }
}

/** Waits for the end of a process. @returns what belongs into its log besides what is on its stderr */
async function lastWords(
  child: ChildProcess,
  signal: AbortSignal,
  onStep: (metrics: StepMetrics) => void,
): Promise<string> {
  const interrupt = (): void => {
    child.kill("SIGINT");
  };
  // What is left of it must not outlive this process when that is told to end at once.
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
    return unknown.map((line) => `${line}\n`).join("");
  } finally {
    process.off("exit", kill);
    signal.removeEventListener("abort", interrupt);
  }
}

/** The event that a line of `--json` is; null where a library, a driver say, has written to stdout. */
function eventOf(line: string): RunEvent | null {
  try {
    const event: unknown = JSON.parse(line);
    return isObject(event) && "event" in event ? (event as unknown as RunEvent) : null;
  } catch {
    return null;
  }
}

/** What is going on, on one line; a line for each run that ends. */
class SweepProgress {
  readonly #total: number;
  readonly #console: Console;
  readonly #line: StatusLine | null;
  readonly #running = new Map<string, StepMetrics | null>();
  #ended = 0;

  constructor(total: number, console: Console) {
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

  end({ run, status, summary, error }: RunState): void {
    this.#running.delete(run.name);
    this.#ended++;
    const accuracy = summary?.test ?? summary?.validation;
    const outcome = error ?? (accuracy && `${(100 * accuracy.accuracy).toFixed(2)} % ${accuracy.set}`) ?? "";
    this.clear();
    this.#console.status(`[${this.#ended}/${this.#total}] ${run.name}  ${status}${outcome ? `  ${outcome}` : ""}`);
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
