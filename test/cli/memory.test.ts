// The most memory that a run has taken, the page at its end included.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createBackend } from "../../src/backend/select.ts";
import { Console } from "../../src/cli/console.ts";
import { describeSummary } from "../../src/cli/describe.ts";
import { executeRun } from "../../src/cli/run.ts";
import { RunFolder } from "../../src/cli/runFolder.ts";
import { describeStart, type RunSummary } from "../../src/cli/summary.ts";
import { exists } from "../../src/io/files.ts";
import { resolveConfig } from "../../src/run/configLayers.ts";
import { createExperiment, loadMaterials } from "../../src/run/experiment.ts";
import { RUN_FILES } from "../../src/run/runFiles.ts";
import { tempDir } from "../io/fixtures.ts";
import { jsonLines } from "./process.ts";

const test = suite("memory of a run");
const PAGE_BYTES = 96 * 2 ** 20;

test("what the page takes counts, on the device and in the process, in summary.json and in the metrics", async () => {
  const config = resolveConfig([
    { generate: { neurons: 900, synapses: 5000 }, trainSamples: 32, validationSamples: 0, testSamples: 0 },
    { batchSize: 16, standardise: false, steps: 1, threads: 1, device: "wasm", diagnoseEvery: 0 },
  ]);
  const materials = await loadMaterials(config);
  const backend = await createBackend({ device: "wasm", threads: 1 });
  const experiment = createExperiment(backend, config, materials);
  const folder = new RunFolder(join(tempDir(), "run"));
  const start = describeStart(config, materials, backend, experiment.trainer);
  const console = new Console({ json: false, quiet: true });
  let found = false;
  const page = async (): Promise<void> => {
    found = await exists(folder.file("summary"));
    const buffer = backend.buffer("page", PAGE_BYTES / 4);
    backend.fill(buffer, 1);
    buffer.release();
  };
  const rest = { folder, console, start, resumed: null, profiler: null, page };
  assert.is(await executeRun({ config, backend, materials, experiment, ...rest }), 0);
  assert.ok(found, "the page has the summary to show");
  const summary = JSON.parse(await readFile(folder.file("summary"), "utf8")) as RunSummary;
  assert.ok(summary.deviceMemory.peakBytes >= PAGE_BYTES, `${summary.deviceMemory.peakBytes}`);
  const more = summary.peakMemoryBytes - summary.trainingPeakMemoryBytes;
  assert.ok(more >= PAGE_BYTES / 2, `${more}`);
  assert.ok(summary.files.includes(RUN_FILES.report));
  const { event, ...last } = jsonLines(await readFile(folder.file("metrics"), "utf8")).at(-1)!;
  assert.is(event, "summary");
  assert.equal(last, summary);
  const line = describeSummary(summary).find((text) => text.startsWith("memory"))!;
  assert.match(line, /^memory +\d+ MiB at most \(\d+ MiB before the page about it\), \d+ MiB of it on the device$/);
  experiment.dispose();
  await backend.dispose();
});

test.run();
