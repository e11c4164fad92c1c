// `axograd report` on runs of `axograd train`, tiny ones.

import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openCommand, openPage } from "../../src/cli/openPage.ts";
import { register as registerReport } from "../../src/cli/report.ts";
import { register as registerTrain } from "../../src/cli/train.ts";
import { FileFormatError } from "../../src/core/errors.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { runCommand } from "./command.ts";
import { writeNetwork } from "./network.ts";
import { TINY } from "./process.ts";

interface Context {
  folder: string;
  run: string;
}

const test = suite<Context>("axograd report");

test.before(async (context) => {
  context.folder = await mkdtemp(join(tmpdir(), "axograd-report-"));
  context.run = join(context.folder, "run");
  await runCommand(registerTrain, "train", "--out", context.run, ...TINY, "--quiet", "--no-report");
});

test.after(async ({ folder }) => {
  await rm(folder, { recursive: true });
});

test("the page and its plots are written into the run's folder", async ({ run }) => {
  const { file, plots } = JSON.parse(await runCommand(registerReport, "report", run, "--json"));
  assert.is(file, join(run, "report.html"));
  assert.equal((await readdir(join(run, "plots"))).sort(), plots.map((p: string) => p.slice(run.length + 7)).sort());
  const html = await readFile(file, "utf8");
  for (const id of ["loss", "accuracy", "confusion", "examples", "activity", "distribution-tau", "spy", "degrees"]) {
    assert.match(html, `id="figure-${id}"`);
  }
  assert.not.match(html, /class="half missing"/);
});

test("--png makes a picture of every plot, too", async ({ run }) => {
  const { plots } = JSON.parse(await runCommand(registerReport, "report", run, "--png", "--json"));
  const pictures = plots.filter((name: string) => name.endsWith(".png"));
  assert.is(pictures.length, plots.length / 2);
  for (const name of pictures) assert.match((await readFile(name)).toString("latin1", 0, 4), /PNG/);
});

test("--out names another file", async ({ folder, run }) => {
  const file = join(folder, "elsewhere.html");
  assert.is(await runCommand(registerReport, "report", run, "--out", file), `${file}\n`);
  assert.match(await readFile(file, "utf8"), /<!doctype html>/);
});

test("a run that is going on is reported as far as it is", async ({ folder, run }) => {
  const going = join(folder, "going");
  await mkdir(going);
  await writeFile(join(going, "config.json"), await readFile(join(run, "config.json")));
  const lines = (await readFile(join(run, "metrics.jsonl"), "utf8")).split("\n");
  const steps = lines.filter((line) => line.startsWith('{"event":"step"'));
  // One whole step, and one that is being written.
  await writeFile(join(going, "metrics.jsonl"), `${steps[0]}\n${steps[1]!.slice(0, 30)}`);
  await runCommand(registerReport, "report", going);
  assert.match(await readFile(join(going, "report.html"), "utf8"), /unfinished: 1 of 5 steps/);
});

test("a run whose files have moved is reported from where they are", async ({ folder }) => {
  await writeNetwork(folder, 6);
  const connectome = join(folder, "net_csr.npz");
  const out = join(folder, "moved");
  const args = ["train", "--connectome", connectome, "--out", out, ...TINY.slice(2), "--quiet", "--no-report"];
  await runCommand(registerTrain, ...args);
  const elsewhere = join(folder, "elsewhere");
  await mkdir(elsewhere);
  for (const name of ["net_csr.npz", "net_neurons.csv"]) await rename(join(folder, name), join(elsewhere, name));
  await fails(() => runCommand(registerReport, "report", out), "file-missing", /net_csr\.npz/);
  await runCommand(registerReport, "report", out, "--connectome", join(elsewhere, "net_csr.npz"));
  assert.not.match(await readFile(join(out, "report.html"), "utf8"), /class="half missing"/);
  await writeNetwork(folder, 7);
  const other = ["report", out, "--connectome", connectome];
  await fails(() => runCommand(registerReport, ...other), "argument", /that the run began with.*net_csr\.npz/);
});

test("a run that diverged has a page that says why it ended", async ({ folder }) => {
  const out = join(folder, "diverged");
  const args = ["train", "--out", out, ...TINY, "--lr", "1e25", "--steps", "20", "--quiet", "--no-report"];
  await fails(() => runCommand(registerTrain, ...args), "non-finite-state", /checkpoint/);
  await runCommand(registerReport, "report", out);
  const html = await readFile(join(out, "report.html"), "utf8");
  assert.match(html, /It ended with an error: .*not finite/);
  assert.match(html, /id="figure-distribution-weights"/);
  assert.not.match(html, /NaN</);
});

test("--no-report leaves a run without a page", async ({ folder }) => {
  const out = join(folder, "bare");
  await runCommand(registerTrain, "train", "--out", out, ...TINY, "--quiet", "--no-report");
  const names = await readdir(out);
  assert.ok(!names.includes("report.html") && !names.includes("plots"));
  assert.not.match(await readFile(join(out, "summary.json"), "utf8"), /report\.html/);
});

test("--open takes the system's command, and says so where there is no screen, no command, or it fails", async () => {
  assert.is(openCommand("a.html", "linux", {}), null);
  assert.equal(openCommand("/a.html", "linux", { DISPLAY: ":0" }), ["xdg-open", "/a.html"]);
  assert.equal(openCommand("/a.html", "darwin", {}), ["open", "/a.html"]);
  assert.is(openCommand("/a b.html", "win32", {})?.[0], "rundll32");
  await fails(() => openPage("a.html", null), "no-browser", /a system without a screen/);
  const absent = join(tempDir(), "no-such-command");
  await fails(() => openPage("a.html", [absent, "a.html"]), "no-browser", /a\.html, got no \S+no-such-command on this/);
  const failing = [process.execPath, "-e", "process.exit(3)"] as const;
  await fails(() => openPage("a.html", [...failing]), "no-browser", /exit code 3/);
  await openPage("a.html", [process.execPath, "-e", ""]);
});

test("report --open shows the page that was written; where it cannot, the page is there all the same", async ({
  folder,
  run,
}) => {
  const shown: string[] = [];
  const open = async (file: string): Promise<void> => {
    assert.match(await readFile(file, "utf8"), /<!doctype html>/);
    shown.push(file);
    return openPage(file, null);
  };
  const file = join(folder, "opened.html");
  const report = (program: Command): void => registerReport(program, open);
  await fails(() => runCommand(report, "report", run, "--out", file, "--open"), "no-browser");
  assert.equal(shown, [file]);
});

test("a folder that is no run is refused with what is missing", async ({ folder }) => {
  try {
    await runCommand(registerReport, "report", join(folder, "nowhere"));
    assert.unreachable();
  } catch (error) {
    assert.instance(error, FileFormatError);
    assert.match(String(error), /config\.json: expected the configuration of a run/);
  }
});

test.run();
