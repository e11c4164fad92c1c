// Times double-edge swaps on one core at the size of a whole nervous system, under each constraint:
//
//   node dist/bench/rewire/rewire.js [--neurons N] [--connections N] [--label TEXT] [--json FILE]
//
// Each row is what a user waits for, from matrix to matrix. Processor time stands beside the time that passed: on a busy machine they differ.

import { mkdirSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { type Csr, withValues } from "../../src/core/csr.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { checkWhole, MAX_NEURONS } from "../../src/data/checks.ts";
import { logNormalConnectome } from "../../src/data/logNormalConnectome.ts";
import { type Mixing, type RewireOptions, rewire } from "../../src/data/rewire.ts";
import { describeMachine } from "../machine.ts";

interface Row {
  readonly degrees: string;
  readonly keeps: string;
  readonly connections: number;
  readonly largestInDegree: number;
  readonly seconds: number;
  readonly processorSeconds: number;
  /** Of all attempts, sorting into kinds and the matrix that is built in the end included. */
  readonly nanosecondsPerSwap: number;
  readonly mixing: Mixing;
}

/** Traced neurons of MaleCNS v1.0, and their connections of at least three synapses: about 10.4 million. */
const DEFAULTS = { neurons: "164587", connections: "10400000" };
const BLOCKS = 300;
const LAYOUTS = { "log-normal": 1, "heavy-tailed": 1.7 } as const;

const { values: given } = parseArgs({
  options: {
    neurons: { type: "string", default: DEFAULTS.neurons },
    connections: { type: "string", default: DEFAULTS.connections },
    label: { type: "string", default: "" },
    json: { type: "string" },
  },
});
const [neurons, connections] = [Number(given.neurons), Number(given.connections)];
checkWhole("bench", "--neurons", neurons, 4, MAX_NEURONS);
checkWhole("bench", "--connections", connections, 1, 2 ** 29);

const machine = describeMachine();
const load = { before: loadavg()[0]!, after: 0 };
const rows: Row[] = [];
for (const [degrees, sigma] of Object.entries(LAYOUTS)) {
  const csr = signed(logNormalConnectome({ neurons, connections, sigmaIn: sigma, sigmaOut: sigma, seed: 1 }));
  for (const [keeps, constraints] of Object.entries(constraintsOf(neurons)))
    rows.push(timed(csr, degrees, keeps, constraints));
}
load.after = loadavg()[0]!;
if (given.json !== undefined) {
  mkdirSync(dirname(given.json), { recursive: true });
  writeFileSync(given.json, `${JSON.stringify({ label: given.label, load, machine, rows }, null, 2)}\n`);
}

function constraintsOf(count: number): Readonly<Record<string, Omit<RewireOptions, "seed">>> {
  const stream = new RandomStream(keyOfSeed(2));
  const blocks = Uint32Array.from({ length: count }, () => stream.below(BLOCKS));
  // A box with the proportions of a fly's brain, in µm.
  const positions = Float64Array.from({ length: 3 * count }, (_, k) => [600, 300, 200][k % 3]! * stream.uniform());
  return {
    degrees: {},
    "degrees, reciprocity": { reciprocity: true },
    "degrees, signs": { signs: true },

    "degrees, 300 blocks": { blocks },
    "degrees, lengths": { lengths: { positions, dimensions: 3 } },
  };
}

/** A third of the neurons are inhibitory. */
function signed(csr: Csr): Csr {
  return withValues(
    csr,
    csr.values.map((w, k) => (csr.colIdx[k]! % 3 === 0 ? -w : w)),
  );
}

function timed(csr: Csr, degrees: string, keeps: string, constraints: Omit<RewireOptions, "seed">): Row {
  const [start, processor] = [performance.now(), process.cpuUsage()];
  const { mixing } = rewire(csr, { ...constraints, seed: 1 });
  const seconds = (performance.now() - start) / 1000;
  const used = process.cpuUsage(processor);
  const processorSeconds = (used.user + used.system) / 1e6;
  const nanosecondsPerSwap = (1e9 * processorSeconds) / Math.max(1, mixing.attempted);
  const largestInDegree = csr.rowPtr.reduce((most, p, i) => (i === 0 ? 0 : Math.max(most, p - csr.rowPtr[i - 1]!)), 0);
  const row = {
    degrees,
    keeps,
    connections: csr.nnz,
    largestInDegree,
    seconds,
    processorSeconds,
    nanosecondsPerSwap,
    mixing,
  };
  const moved = `${(100 * mixing.moved).toFixed(1)} % moved`;
  const took = `${seconds.toFixed(1)} s, ${processorSeconds.toFixed(1)} s of the processor, ${nanosecondsPerSwap.toFixed(0)} ns per swap`;
  console.log(`${degrees.padEnd(14)}${keeps.padEnd(34)}${took}, ${moved}`);
  return row;
}
