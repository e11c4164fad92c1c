// The benchmarks: `npm run bench -- --help`. Every job runs in its own process (job.ts); this one only makes networks, starts jobs one after
// another and reports.

import { fork } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { EngineError } from "../src/core/errors.ts";
import { describeProfile } from "../src/profile/stepProfile.ts";
import type { Answer, Job, SuiteJob } from "./job.ts";
import { describeMachine } from "./machine.ts";
import { makeNetwork, storeNetwork } from "./networks.ts";
import { type BenchOptions, parseOptions, USAGE } from "./options.ts";
import { fitsOf } from "./report/fits.ts";
import { fitLine, rooflineLine, rowHeader, rowLine } from "./report/text.ts";
import { compileRates } from "./roofline/compile.ts";
import type { Report, Roofline, Row, StepProfileRecord } from "./row.ts";

/** Per rate. */
const ROOFLINE_SECONDS = { quick: 0.02, full: 0.5 };

/** A job that sends nothing for this long hangs. */
const SILENCE_MS = 15 * 60 * 1000;

class BenchRun {
  readonly #options: BenchOptions;
  readonly #folder: string;
  readonly #machine = describeMachine();
  readonly #startedAt = new Date().toISOString();
  readonly #loadBefore = loadavg()[0]!;
  readonly #rooflines: Roofline[] = [];
  readonly #rows: Row[] = [];
  readonly #profiles: StepProfileRecord[] = [];
  readonly #notes = new Set<string>();
  readonly #refused: string[] = [];

  /** @param folder for files that jobs and peers share */
  constructor(options: BenchOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
  }

  async measure(): Promise<void> {
    if (this.#options.device === "wasm") await this.#measureRooflines();
    console.log(rowHeader());
    for (const size of this.#options.sizes) await this.#measureNetwork(size);
  }

  report(argv: readonly string[]): Report {
    return {
      startedAt: this.#startedAt,
      arguments: argv,
      label: this.#options.label,
      load: { before: this.#loadBefore, after: loadavg()[0]! },
      machine: this.#machine,
      rooflines: this.#rooflines,
      rows: this.#rows,
      fits: fitsOf(this.#rows),
      profiles: this.#profiles,
      notes: [...this.#notes],
      refused: this.#refused,
    };
  }

  async #measureRooflines(): Promise<void> {
    const module = join(this.#folder, "rates.wasm");
    writeFileSync(module, await compileRates());
    const seconds = this.#options.quick ? ROOFLINE_SECONDS.quick : ROOFLINE_SECONDS.full;
    for (const threads of this.#options.threads) {
      await this.#start({ type: "roofline", threads, module, seconds });
      console.log(rooflineLine(this.#rooflines.at(-1)!));
    }
  }

  async #measureNetwork(size: string): Promise<void> {
    const network = await makeNetwork(size);
    if (!network) {
      this.#note(`${size}: left out, its file is not on this machine`);
      return;
    }
    const folder = join(this.#folder, size);
    mkdirSync(folder);
    storeNetwork(folder, network);
    const { suites, threads } = this.#options;
    for (const suite of suites) {
      // Reading a file uses one thread, whatever the backend uses.
      for (const n of suite === "load" ? threads.slice(0, 1) : threads) {
        const job = this.#suiteJob(folder, n);
        await this.#start({ type: "suite", suite, ...job });
        if (suite === "step" || suite === "discrete") await this.#measureMemory(suite, job);
      }
    }
    rmSync(folder, { recursive: true });
  }

  /** One step per batch size, each in a fresh process; the result joins the row of the whole step. */
  async #measureMemory(suite: "step" | "discrete", job: SuiteJob): Promise<void> {
    for (const batch of job.batches) await this.#start({ type: "memory", suite, ...job, batches: [batch] });
  }

  #suiteJob(folder: string, threads: number): SuiteJob {
    const { batches, dtype, device, peers, quick, rounds, profile, steps, frozen } = this.#options;
    const roofline = this.#rooflines.find((r) => r.threads === threads) ?? null;
    const work = { batches, threads, dtype, device, peers, quick, rounds, profile, steps, frozen };
    return { folder, ...work, roofline, machine: this.#machine };
  }

  /** Runs a job to completion. A failed job is reported, and the run continues: earlier results are kept. */
  #start(job: Job): Promise<void> {
    process.stderr.write(`# ${new Date().toISOString().slice(11, 19)} ${describe(job)}\n`);
    const child = fork(new URL("./child.js", import.meta.url), { execArgv: ["--enable-source-maps"] });
    const silence = setTimeout(() => child.kill("SIGKILL"), SILENCE_MS);
    child.on("message", (answer: Answer) => {
      silence.refresh();
      this.#receive(answer);
    });
    child.send(job);
    return new Promise((done, fail) => {
      child.on("error", fail);
      child.on("close", (code, signal) => {
        clearTimeout(silence);
        if (code !== 0) this.#refuse(`${describe(job)}: ended with ${signal ?? `exit code ${code}`}`);
        done();
      });
    });
  }

  #receive(answer: Answer): void {
    switch (answer.type) {
      case "roofline":
        this.#rooflines.push(answer.roofline);
        return;
      case "row":
        this.#rows.push(answer.row);
        console.log(rowLine(answer.row));
        return;
      case "profile":
        this.#profiles.push(answer.profile);
        for (const line of describeProfile(answer.profile)) console.log(`  ${line}`);
        return;
      case "note":
        this.#note(answer.text);
        return;
      case "refused":
        this.#refuse(answer.text);
        return;
      case "memory":
        this.#addMemory(answer);
    }
  }

  #addMemory({ suite, batch, maxRssBytes }: Extract<Answer, { type: "memory" }>): void {
    const isWhole = (row: Row) => row.suite === suite && !row.op.includes(".") && row.peer === null;
    const at = this.#rows.findLastIndex((row) => isWhole(row) && row.dims.batch === batch);
    if (at < 0) return;
    this.#rows[at] = { ...this.#rows[at]!, maxRssBytes };
    console.log(`  one step of batch ${batch}: peak resident set ${Math.round(maxRssBytes / 2 ** 20)} MiB`);
  }

  #note(text: string): void {
    if (!this.#notes.has(text)) console.log(`  # ${text}`);
    this.#notes.add(text);
  }

  #refuse(text: string): void {
    this.#refused.push(text);
    console.log(`  REFUSED ${text}`);
  }
}

function describe(job: Job): string {
  return job.type === "suite" ? `suite ${job.suite}, ${job.threads} threads` : `${job.type}, ${job.threads} threads`;
}

async function main(argv: readonly string[]): Promise<number> {
  if (argv.includes("--help")) {
    console.log(USAGE);
    return 0;
  }
  const options = parseOptions(argv);
  const folder = mkdtempSync(join(tmpdir(), "axograd-bench-"));
  try {
    const run = new BenchRun(options, folder);
    await run.measure();
    const report = run.report(argv);
    for (const fit of report.fits) console.log(fitLine(fit));
    if (options.json) {
      const file = resolve(options.json);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, `${JSON.stringify(report, null, 1)}\n`);
    }
    return report.refused.length === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof EngineError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
