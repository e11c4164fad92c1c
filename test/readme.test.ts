// The programs in README and docs/library.md compile against the package's public types, and the first one trains.

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { mapValues } from "../src/core/csr.ts";
import { keyOfSeed } from "../src/core/random.ts";
import { logNormalConnectome } from "../src/data/connectomes.ts";
import { syntheticDigits } from "../src/data/syntheticDigits.ts";
import { writeSparseNpz } from "../src/io/npz.ts";
import { tempDir } from "./io/fixtures.ts";

const test = suite("README");

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..");
const README = readFileSync(join(root, "README.md"), "utf8");
const LIBRARY = readFileSync(join(root, "docs", "library.md"), "utf8");

/** Names that blocks take as given by their text. */
const GIVEN = {
  types: `import { type Backend, ConnectomeODERNN, readConnectome, readNeuronTable, sharedByTypePair, typeLabels } from "axograd";
declare const backend: Backend;
`,
  run: `import { openRun } from "axograd";
declare const images: Float32Array;
`,
  patterns: `import { AdamW, type Backend, type ConnectomeODEClassifier, ParameterPenalties, type SampleSet, Trainer } from "axograd";
declare const backend: Backend, model: ConnectomeODEClassifier, train: SampleSet;
`,
  dynamics: `import { type Backend, type Csr, dopri5, OdeSolver, type OdeSystem } from "axograd";
declare const n: number, nnz: number, backend: Backend;
declare const y0: Float64Array, W: Csr, b: Float64Array, tau: Float64Array, input: Float64Array;
`,
};

/** The TypeScript blocks of a document, in order. */
function blocks(text: string): string[] {
  return [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map((m) => m[1]!);
}

/** IDX files as MNIST has them. */
async function writeDigits(dir: string, prefix: string, count: number): Promise<void> {
  const { images, labels } = syntheticDigits(count, keyOfSeed(1));
  const header = (magic: number, ...sizes: number[]) => Buffer.from(new Uint32Array([magic, ...sizes]).buffer).swap32();
  writeFileSync(join(dir, `${prefix}-images-idx3-ubyte`), Buffer.concat([header(2051, count, 28, 28), images]));
  writeFileSync(join(dir, `${prefix}-labels-idx1-ubyte`), Buffer.concat([header(2049, count), labels]));
}

test("the example programs compile, and the tutorial of at most 40 lines trains", async () => {
  const [tutorial, dynamics, ...more] = blocks(README);
  const [types, solver, run, patterns, ...others] = blocks(LIBRARY);
  assert.equal([...more, ...others], [], "every block is compiled here");
  const lines = tutorial!.trim().split("\n").length;
  assert.ok(lines <= 40, "the tutorial in at most 40 lines");
  assert.match(README, new RegExp(`rewritten in ${lines} lines`));
  // Inside the package, so that "axograd" is the package itself, as for a user.
  const dir = join(here, "readme");
  mkdirSync(dir, { recursive: true });
  try {
    writeFileSync(join(dir, "tutorial.ts"), tutorial!);
    writeFileSync(join(dir, "types.ts"), `${GIVEN.types}${types!}\nexport { network };\n`);
    writeFileSync(join(dir, "run.ts"), `${GIVEN.run}${run!}\nexport { logits, loss, metrics };\n`);
    writeFileSync(join(dir, "patterns.ts"), `${GIVEN.patterns}${patterns!}\nexport { trainer };\n`);
    writeFileSync(join(dir, "dynamics.ts"), `${GIVEN.dynamics}${dynamics!}${solver!}\nexport { solver };\n`);
    const options = [
      "--ignoreConfig",
      "--module",
      "nodenext",
      "--target",
      "es2022",
      "--strict",
      "--skipLibCheck",
      "--types",
      "node",
    ];
    const files = ["tutorial.ts", "types.ts", "run.ts", "patterns.ts", "dynamics.ts"].map((file) => join(dir, file));
    const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
    const compiled = spawnSync(process.execPath, [tsc, ...options, ...files], { encoding: "utf8" });
    assert.is(compiled.status, 0, compiled.stdout);

    const cwd = tempDir();
    // Weights of both signs, as those of the file.
    const connectome = mapValues(logNormalConnectome({ neurons: 300, connections: 3000, seed: 1 }), (w, _, pre) =>
      pre % 3 === 0 ? -w : w,
    );
    await writeSparseNpz(join(cwd, "flyvis_e6_csr.npz"), connectome);
    mkdirSync(join(cwd, "mnist"));
    await writeDigits(join(cwd, "mnist"), "train", 400);
    await writeDigits(join(cwd, "mnist"), "t10k", 8);
    const trained = spawnSync(process.execPath, [join(dir, "tutorial.js")], {
      cwd,
      encoding: "utf8",
      timeout: 120_000,
    });
    assert.is(trained.status, 0, trained.stderr);
    const [step, loss, accuracy] = trained.stdout.trim().split(/\s+/).map(Number);
    assert.is(step, 50);
    assert.ok(loss! > 0 && Number.isFinite(loss), trained.stdout);
    assert.ok(accuracy! >= 0 && accuracy! <= 1, trained.stdout);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test.run();
