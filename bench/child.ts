// A process that does one benchmark job and answers over its channel. Started by run.ts.

import { readFileSync } from "node:fs";
import type { Answer, Job, SuiteJob } from "./job.ts";
import { measureRoofline } from "./roofline/roofline.ts";
import type { SuiteName } from "./row.ts";
import { BenchSession } from "./session.ts";
import { kernelSuite, rhsSuite } from "./suites/kernels.ts";
import { loadSuite } from "./suites/load.ts";
import { solveSuite } from "./suites/solve.ts";
import { startupSuite } from "./suites/startup.ts";
import { oneStep, stepSuite } from "./suites/step.ts";

const SUITE: Readonly<Record<SuiteName, (session: BenchSession) => Promise<void>>> = {
  kernels: kernelSuite,
  rhs: rhsSuite,
  solve: solveSuite,
  step: stepSuite,
  discrete: stepSuite,
  load: loadSuite,
  startup: startupSuite,
};

async function work(job: Job, send: (answer: Answer) => void): Promise<void> {
  switch (job.type) {
    case "roofline": {
      const module = readFileSync(job.module);
      send({ type: "roofline", roofline: await measureRoofline(module, job.threads, job.seconds) });
      return;
    }
    case "memory": {
      const [batch = 1] = job.batches;
      await inSession(job, job.suite, send, (session) => oneStep(session, batch));
      // Linux, macOS and Windows: kilobytes.
      send({ type: "memory", suite: job.suite, batch, maxRssBytes: process.resourceUsage().maxRSS * 1024 });
      return;
    }
    case "suite":
      await inSession(job, job.suite, send, SUITE[job.suite]);
  }
}

async function inSession(
  job: SuiteJob,
  suite: SuiteName,
  send: (answer: Answer) => void,
  body: (session: BenchSession) => Promise<void>,
): Promise<void> {
  const session = await BenchSession.open(job, suite, send);
  try {
    await body(session);
  } finally {
    await session.dispose();
  }
}

process.once("message", async (job: Job) => {
  try {
    await work(job, (answer) => process.send!(answer));
    process.disconnect();
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
});
