// The programs in README and docs compile against the package's public types; the tutorial and docs/your-own-task.md train.

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
const SIMULATE = readFileSync(join(root, "docs", "simulate.md"), "utf8");
const NERVOUS_SYSTEM = readFileSync(join(root, "docs", "nervous-system.md"), "utf8");
const EXPERIMENTS = readFileSync(join(root, "docs", "experiments.md"), "utf8");
const OWN_TASK = readFileSync(join(root, "docs", "your-own-task.md"), "utf8");

/** Names that blocks take as given by their text. */
const GIVEN = {
  types: `import { type Backend, ConnectomeODERNN, readConnectome, readNeuronTable, sharedByTypePair, typeLabels } from "axograd";
declare const backend: Backend;
`,
  run: `import { openRun } from "axograd";
declare const images: Float32Array;
`,
  samples: `import { type ConnectomeModel, type Optimizer, type SampleSet, type StepOptions, Trainer } from "axograd";
declare const model: ConnectomeModel, optimizer: Optimizer, validation: SampleSet;
declare function query(indices: ArrayLike<number>): Promise<{ inputs: Float32Array; targets: Float32Array }>;
`,
  several: `import { Adam, ConnectomeODEClassifier, createRankBackend, openCommunicator, type SampleSet, Trainer } from "axograd";
declare const train: SampleSet, options: ConstructorParameters<typeof ConnectomeODEClassifier>[1];
`,
  patterns: `import { AdamW, type Backend, type ConnectomeODEClassifier, ParameterPenalties, type SampleSet, Trainer } from "axograd";
declare const backend: Backend, model: ConnectomeODEClassifier, train: SampleSet;
`,
  elements: `import { Adam, type Backend, type ConnectomeModel, type Csr, type NeuronTable, ParameterPenalties } from "axograd";
declare const backend: Backend, model: ConnectomeModel, connectome: Csr, table: NeuronTable;
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

/** Compiles programs, as a user does. */
function compile(files: readonly string[]): void {
  const options = ["--ignoreConfig", "--module", "nodenext", "--target", "es2022", "--strict", "--skipLibCheck"];
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const args = [tsc, ...options, "--types", "node", ...files];
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: "utf8" });
  assert.is(status, 0, stdout);
}

/** A folder inside the package, so that "axograd" is the package itself, as for a user; it is removed after `use`. */
async function inFolder(name: string, use: (dir: string) => void | Promise<void>): Promise<void> {
  const dir = join(here, name);
  mkdirSync(dir, { recursive: true });
  try {
    await use(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** IDX files as MNIST has them. */
async function writeDigits(dir: string, prefix: string, count: number): Promise<void> {
  const { images, labels } = syntheticDigits(count, keyOfSeed(1));
  const header = (magic: number, ...sizes: number[]) => Buffer.from(new Uint32Array([magic, ...sizes]).buffer).swap32();
  writeFileSync(join(dir, `${prefix}-images-idx3-ubyte`), Buffer.concat([header(2051, count, 28, 28), images]));
  writeFileSync(join(dir, `${prefix}-labels-idx1-ubyte`), Buffer.concat([header(2049, count), labels]));
}

test("the example programs compile, and the tutorial of at most 40 lines trains", async () => {
  const [tutorial, ...more] = blocks(README);
  const [types, dynamics, solver, samples, run, several, patterns, elements, ...others] = blocks(LIBRARY);
  assert.equal([...more, ...others], [], "every block is compiled here");
  const lines = tutorial!.trim().split("\n").length;
  assert.ok(lines <= 40, "the tutorial in at most 40 lines");
  assert.match(README, new RegExp(`rewritten in ${lines} lines`));
  const [simulate, ...rest] = blocks(SIMULATE);
  assert.equal(rest, []);
  const [fly, ...further] = blocks(NERVOUS_SYSTEM);
  assert.equal(further, []);
  const [experiments, ...beyond] = blocks(EXPERIMENTS);
  assert.equal(beyond, []);
  const analyses = publicNames().filter((name) => new RegExp(`\\b${name}\\(`).test(experiments!));
  await inFolder("readme", async (dir) => {
    const programs = {
      tutorial: tutorial!,
      types: `${GIVEN.types}${types!}\nexport { network };\n`,
      run: `${GIVEN.run}${run!}\nexport { logits, loss, metrics };\n`,
      samples: `${GIVEN.samples}${samples!}\nexport { metrics, perOutput };\n`,
      several: `${GIVEN.several}${several!}`,
      patterns: `${GIVEN.patterns}${patterns!}\nexport { trainer };\n`,
      elements: `${GIVEN.elements}${elements!}\nexport { fine, sparse };\n`,
      dynamics: `${GIVEN.dynamics}${dynamics!}${solver!}\nexport { solver };\n`,
      fly: fly!,
      experiments: `import { ${analyses.join(", ")} } from "axograd";
${experiments!}export { pairs, prediction, selectivity, statistics, summaries, values, weights };\n`,
      simulate: `${simulate!}\nexport { data, intact, lesioned, shape, ts };\n`,
    };
    for (const [name, text] of Object.entries(programs)) writeFileSync(join(dir, `${name}.ts`), text);
    compile(Object.keys(programs).map((name) => join(dir, `${name}.ts`)));

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
  });
});

/** All that a program can import, values and types. */
function publicNames(): string[] {
  const names = readFileSync(join(root, "src", "index.ts"), "utf8").matchAll(/^export (?:type )?\{([^}]*)\}/gm);
  return [...names].flatMap(([, list]) => [...list!.matchAll(/(?:as )?(\w+)\s*(?:,|$)/g)].map(([, name]) => name!));
}

test("the programs on 'Your own task' train, the first one in about thirty lines", async () => {
  const [first, ...more] = blocks(OWN_TASK);
  const [imports, program] = first!.split("\n\n") as [string, string];
  assert.ok(program.trim().split("\n").length <= 30, program);
  const end = "await backend.dispose();\n";
  assert.ok(program.endsWith(end) && program.includes("[4000, 8, 2]") && program.includes("steps: 300"));
  const whole = program.slice(0, -end.length) + more.map((block) => `{\n${block}}\n`).join("") + end;
  const used = publicNames().filter((name) => new RegExp(`\\b${name}\\b`).test(whole));
  for (const name of imports.matchAll(/\w+(?=[,\s])/g)) {
    assert.ok(["import", "from"].includes(name[0]) || used.includes(name[0]), `${name[0]} is imported for nothing`);
  }
  await inFolder("ownTask", (dir) => {
    const tiny = whole.replace("[4000, 8, 2]", "[64, 8, 2]").replace("steps: 300", "steps: 50");
    writeFileSync(join(dir, "first.ts"), first!);
    writeFileSync(join(dir, "whole.ts"), `import { ${used.join(", ")} } from "axograd";\n${tiny}`);
    compile([join(dir, "first.ts"), join(dir, "whole.ts")]);
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(dir, "whole.js")], {
      cwd: tempDir(),
      encoding: "utf8",
      timeout: 120_000,
    });
    assert.is(status, 0, stderr);
    assert.match(stdout, /^50 \d/);
    assert.match(stdout, /r2: -?[\d.]+/);
  });
});

test.run();
