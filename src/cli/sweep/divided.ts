// Runs of a sweep on all ranks that mpirun or srun started. Rank 0 leads: it reads files, holds the folder, talks to the user, collects. The
// others only start runs.

import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { ADAPTER_VARIABLE } from "../../backend/webgpu/dawn.ts";
import { ArgumentError } from "../../core/errors.ts";
import { agreed, asShared } from "../../distributed/agree.ts";
import { type Communicator, SOLO } from "../../distributed/communicator.ts";
import { withoutLauncher } from "../../distributed/launcher.ts";
import { grantedThreads } from "../../run/device.ts";
import { Console } from "../console.ts";
import { Interruption } from "../interruption.ts";
import { rankName } from "../ranks.ts";
import { LOOK_MS, LOOKS, Meeting, type RunEnd, undivided } from "./division.ts";
import { type Here, launchLocally, type RunOptions, SweepProgress } from "./local.ts";
import { type RunState, SweepFolder } from "./sweepFolder.ts";

/** The ranks, as the leading one sees them. */
export interface Ranks {
  readonly communicator: Communicator;
  /** Starts or continues runs; resolves when all have ended. May be called once. */
  launch(folder: SweepFolder, states: readonly RunState[], options: RunOptions, lead: Lead): Promise<void>;
}

/** What a rank has of its own. */
type Lead = Pick<Here, "console" | "assertHeld"> & { readonly interruption: Interruption };

/** What rank 0 gives the others to do. */
interface Work {
  readonly sweep: string;
  readonly meeting: string;
  readonly states: readonly RunState[];
  readonly options: RunOptions;
}

/**
 * Runs a command that starts runs.
 *
 * @param lead  the command, on rank 0; it may launch runs once
 * @returns its exit code on rank 0, which is that of all; 0 on the others
 */
export async function divided(communicator: Communicator, lead: (ranks: Ranks) => Promise<number>): Promise<number> {
  if (communicator.size === 1) return lead({ communicator, launch: launchAlone });
  if (communicator.rank > 0) {
    const [work] = await communicator.exchange<Work | null>(null);
    if (work) await follow(communicator, work);
    return 0;
  }
  // They wait for work, or are busy, or have done it and leave.
  let others = "wait" as "wait" | "work" | "leave";
  try {
    return await lead({
      communicator,
      launch: async (folder, states, options, own) => {
        const sweep = resolve(folder.path);
        const work = { sweep, meeting: await Meeting.prepare(sweep, randomUUID()), states, options };
        others = "work";
        try {
          await communicator.exchange<Work | null>(work);
          await takePart(communicator, work, own);
          others = "leave";
        } finally {
          await rm(work.meeting, { recursive: true, force: true });
        }
      },
    });
  } catch (error) {
    // The others end in order.
    throw others === "work" ? error : asShared(error);
  } finally {
    if (others === "wait") await communicator.exchange<Work | null>(null);
  }
}

async function launchAlone(
  folder: SweepFolder,
  states: readonly RunState[],
  options: RunOptions,
  { interruption, console, assertHeld }: Lead,
): Promise<void> {
  await launchLocally(folder, states, options, {
    division: undivided(states.length),
    ...(await meansFor(SOLO, states, console)),
    progress: new SweepProgress(states.length, console),
    signal: interruption.signal,
    console,
    assertHeld,
  });
}

/** The part of a rank other than 0. */
async function follow(communicator: Communicator, work: Work): Promise<void> {
  const interruption = new Interruption(communicator);
  const console = new Console({ json: false, quiet: true, silent: true });
  try {
    await takePart(communicator, work, { interruption, console, assertHeld: async () => {} });
  } finally {
    interruption.dispose();
  }
}

/** Does the runs that fall to this rank; resolves when all ranks have done so. Errors and requests to stop of one are those of all. */
async function takePart(
  communicator: Communicator,
  { sweep, meeting: place, states, options }: Work,
  { interruption, console, assertHeld }: Lead,
): Promise<void> {
  const meeting = new Meeting(place, states.length, communicator);
  await checkShared(communicator, meeting, sweep);
  const folder = new SweepFolder(sweep);
  const progress = new SweepProgress(states.length, console, rankName(communicator, communicator.rank));
  const own = await meansFor(communicator, states, console);
  const stop = new AbortController();
  const endedElsewhere = new Map<number, RunEnd>();
  const listener = {
    stopped: () => stop.abort(),
    ended: (run: number, end: RunEnd, rank: number) => {
      endedElsewhere.set(run, end);
      progress.end(states[run]!.run.name, end, rankName(communicator, rank));
    },
  };
  const passOn = (): void => {
    stop.abort();
    // Launchers send signals to all ranks; the others hear of one to this rank alone. What goes wrong here shows when the rank leaves.
    meeting.stop().catch(() => {});
  };
  interruption.signal.addEventListener("abort", passOn);
  await agreed(communicator, async () => {
    const over = new AbortController();
    const attending = meeting.attend(listener, over.signal).catch((error: unknown) => error);
    try {
      const here = { division: meeting, ...own, console, progress, signal: stop.signal, assertHeld };
      await launchLocally(folder, states, options, here);
    } finally {
      over.abort();
      await attending;
      await meeting.leave(listener);
    }
    if (communicator.rank === 0) await untilSeen(folder, states, endedElsewhere);
  });
  interruption.signal.removeEventListener("abort", passOn);
  await interruption.isAgreed();
}

/** @throws {ArgumentError} a host does not see the sweep's folder of rank 0; on all ranks */
async function checkShared(communicator: Communicator, meeting: Meeting, sweep: string): Promise<void> {
  const seen = await communicator.exchange(await meeting.isShared());
  const blind = communicator.hosts.filter((_, rank) => !seen[rank]);
  if (blind.length === 0) return;
  const expected = `a folder that all hosts share, as they see ${communicator.hosts[0]}'s`;
  const got = `${sweep}, which ${[...new Set(blind)].join(", ")} cannot see`;
  throw asShared(new ArgumentError("sweep", "--out", expected, got));
}

/** Waits until the files of runs that other hosts have ended are seen here. */
async function untilSeen(
  folder: SweepFolder,
  states: readonly RunState[],
  ends: ReadonlyMap<number, RunEnd>,
): Promise<void> {
  let looks = 0;
  for (const [run, { status }] of ends) {
    while ((await folder.state(states[run]!.run)).status !== status && looks++ < LOOKS) await pause(LOOK_MS);
  }
}

/** What this rank gives its runs: its CPUs and, if they want one, its GPU. Collective. */
async function meansFor(
  communicator: Communicator,
  states: readonly RunState[],
  console: Pick<Console, "warn">,
): Promise<Pick<Here, "threads" | "env">> {
  const threads = await grantedThreads(communicator);
  const env = withoutLauncher(process.env);
  const wantsGpu = states.some(({ run: { config } }) => config.device !== "wasm" && config.dtype === "f32");
  if (communicator.size === 1 || !wantsGpu) return { threads, env };
  const { adapterOfRank } = await import("../../run/rankAdapter.ts");
  const { adapter, warnings } = await adapterOfRank(communicator, { orNone: true });
  for (const warning of warnings) console.warn(warning);
  return { threads, env: adapter ? { ...env, [ADAPTER_VARIABLE]: `${adapter.index}` } : env };
}
