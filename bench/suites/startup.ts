// Startup: from the start of a process `axograd train` to its first finished training step. Includes Node's start, the network, compiling, first
// allocations and one step. The network "default" is the job without any option.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Contender, interleave } from "../measure.ts";
import type { BenchSession } from "../session.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
/** Networks that the command can generate. */
const GENERATED = ["tiny", "tutorial", "brain"];

export async function startupSuite(session: BenchSession): Promise<void> {
  const { job, effort, network, backend } = session;
  const args = jobArguments(session);
  if (!args) {
    session.note("startup: left out, axograd train does not make this network");
    return;
  }
  const { device, threads } = job;
  const common = ["--device", device, "--threads", `${threads}`, "--no-report", "--json"];
  const contender: Contender = {
    name: "startup",
    sample: async () => [await secondsToFirstStep(job.folder, [...args, ...common])],
  };
  // The timed processes compile programs on their own backends; this one only holds the session.
  await backend.finish();
  try {
    const [timing] = await interleave([contender], effort);
    session.row({ op: "startup", batch: 0, cost: null }, timing!);
  } catch (error) {
    session.refuse(`startup of ${network.name}: ${error instanceof Error ? error.message : error}`);
  }
}

function jobArguments({ network: { name, csr } }: BenchSession): readonly string[] | null {
  if (name === "default") return [];
  if (!GENERATED.includes(name) && !/^\d+x\d+$/.test(name)) return null;
  return ["--preset", "tutorial", "--generate", `${csr.nRows}x${csr.nnz}`];
}

/** Starts the job, and ends it when it reports a step with a finite loss. */
async function secondsToFirstStep(folder: string, args: readonly string[]): Promise<number> {
  const out = mkdtempSync(join(folder, "startup-"));
  const start = performance.now();
  const child = spawn(process.execPath, [MAIN, "train", ...args, "--out", join(out, "run")], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const ended = new Promise<void>((done, fail) => {
    child.on("error", fail);
    child.on("close", () => done());
  });
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const event = JSON.parse(line) as { readonly event: string; readonly loss?: number | null };
      if (event.event === "error") throw new Error(line);
      if (event.event !== "step") continue;
      if (!Number.isFinite(event.loss))
        throw new Error(`expected a finite loss after the first step, got ${event.loss}`);
      return (performance.now() - start) / 1000;
    }
    throw new Error("expected a first step, got the end of the process");
  } finally {
    child.kill("SIGKILL");
    await ended;
    rmSync(out, { recursive: true, force: true });
  }
}
