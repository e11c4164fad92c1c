// axograd check: central differences, WASM in double and single precision, and WebGPU solve the same problems and must agree.

import type { Command } from "commander";
import { GATHERS, type Gather } from "../backend/gather.ts";
import { createBackend, DEVICES, type Device } from "../backend/select.ts";
import { classifierSubject } from "../check/classifierSubject.ts";
import { crossCheck, passed, type SubjectReport, type Witness } from "../check/crossCheck.ts";
import { inducedSubgraph } from "../check/subgraph.ts";
import type { Subject } from "../check/subject.ts";
import { discreteSubject, sequenceSubject } from "../check/taskSubjects.ts";
import { voltageSubject } from "../check/voltageSubject.ts";
import { type Csr, mapValues } from "../core/csr.ts";
import type { DType } from "../core/dtype.ts";
import { DTYPES } from "../core/dtype.ts";
import { ArgumentError } from "../core/errors.ts";
import { alignColumns, plural } from "../core/text.ts";
import { logNormalConnectome, spectralRadiusOfAbsolute } from "../data/connectomes.ts";
import { CONNECTOME_EXTENSIONS, readConnectome } from "../io/connectome.ts";
import { addReadOptions, type GivenReadOptions, readOptionsOf } from "./connectomeOptions.ts";
import { writeJson, writeText } from "./console.ts";
import { oneOf, path, wholeNumber } from "./values.ts";

interface GivenOptions extends GivenReadOptions {
  readonly device: Device;
  readonly dtype: DType;
  readonly gather: Gather;
  readonly connectome?: string;
  readonly full?: boolean;
  readonly seed: number;
  readonly json?: boolean;
}

/** The f64 reference and the f32 backends that are compared with it. */
export interface Witnesses {
  readonly reference: Witness;
  readonly singles: readonly Witness[];
}

interface CheckResult {
  /** Descriptions of the devices that were compared. */
  readonly devices: readonly string[];
  readonly subjects: readonly SubjectReport[];
}

/** Neurons of a user's connectome that are checked without --full. */
const MOST_NEURONS = 1000;
const BUILT_IN = { neurons: 96, connections: 900 };
const EXIT_FAILURE = 1;

/**
 * Adds the command to the program. A failed comparison leaves exit code 1.
 *
 * @param open  opens the witnesses; tests inject wrong ones
 */
export function register(program: Command, open: typeof openWitnesses = openWitnesses): void {
  const command = program
    .command("check")
    .description(
      "check trajectories, losses and gradients: central differences, WASM f64, WASM f32 and WebGPU f32 must agree",
    )
    .option("--device <device>", `device to check: ${DEVICES.join(", ")}`, oneOf("--device", DEVICES), "auto")
    .option("--dtype <type>", "f32, or f64 to check double precision only", oneOf("--dtype", DTYPES), "f32")
    .option("--gather <type>", "f32, or f16 for states in half precision (webgpu)", oneOf("--gather", GATHERS), "f32")
    .option(
      "--connectome <file>",
      `also check this connectome: ${CONNECTOME_EXTENSIONS.join(", ")}`,
      path("--connectome"),
    )
    .option("--full", `check the whole connectome instead of ${MOST_NEURONS} of its neurons`)
    .option("--seed <seed>", "seed of inputs, directions and perturbations", wholeNumber("--seed", 0), 0)
    .option("--json", "print everything as one JSON object");
  addReadOptions(command).action(async (given: GivenOptions) => {
    const { devices, subjects } = await check(given, open);
    if (given.json) writeJson({ passed: passed(subjects), devices, subjects });
    else writeText(`${devices.map((device) => `${device}\n`).join("")}\n${textOf(subjects)}`);
    if (!passed(subjects)) process.exitCode = EXIT_FAILURE;
  });
}

async function check(given: GivenOptions, open: typeof openWitnesses): Promise<CheckResult> {
  const subjects = await subjectsOf(given);
  const { reference, singles } = await open(given);
  try {
    const reports: SubjectReport[] = [];
    for (const subject of subjects) reports.push(await crossCheck(subject, reference, singles, given.seed));
    return { devices: [reference, ...singles].map(({ backend }) => backend.description), subjects: reports };
  } finally {
    for (const { backend } of [reference, ...singles]) await backend.dispose();
  }
}

export async function openWitnesses({
  device,
  dtype,
  gather,
}: Pick<GivenOptions, "device" | "dtype" | "gather">): Promise<Witnesses> {
  if (device === "webgpu" && dtype === "f64")
    throw new ArgumentError("check", "--dtype", "f32, the precision of webgpu", "f64");
  if (gather === "f16" && (device === "wasm" || dtype === "f64"))
    throw new ArgumentError("check", "--gather", "f32 with --device wasm or --dtype f64, or a GPU", gather);
  const reference = { name: "wasm f64", backend: await createBackend({ device: "wasm", dtype: "f64" }) };
  const singles: Witness[] = [];
  if (dtype === "f32") {
    singles.push({ name: "wasm f32", backend: await createBackend({ device: "wasm", dtype }) });
    const backend = device === "wasm" ? null : await createBackend({ device, dtype, gather });
    const name = gather === "f16" ? "webgpu f32, gathers f16" : "webgpu f32";
    if (backend?.name === "webgpu") singles.push({ name, backend, gather });
    else await backend?.dispose();
  }
  return { reference, singles };
}

/** All models on the built-in network and on the user's. */
async function subjectsOf(given: GivenOptions): Promise<Subject[]> {
  const { seed, connectome: file } = given;
  const idle = file === undefined ? Object.keys({ ...(given.full && { full: true }), ...readOptionsOf(given) }) : [];
  if (idle.length > 0) {
    throw new ArgumentError("check", `--${idle[0]}`, "--connectome with it, as it has no effect otherwise", "none");
  }
  const random = logNormalConnectome({ ...BUILT_IN, seed });
  const builtIn = toUnitRadius(mapValues(random, (w, _, pre) => (pre % 3 === 0 ? -w : w)));
  const networks: [string, Csr][] = [["built-in", builtIn]];
  if (file !== undefined) {
    const read = await readConnectome(file, readOptionsOf(given));
    networks.push([file, toUnitRadius(given.full ? read : inducedSubgraph(read, MOST_NEURONS, seed))]);
  }
  const models = [classifierSubject, sequenceSubject, discreteSubject, voltageSubject];
  return networks.flatMap(([name, csr]) => models.map((subject) => subject(name, csr, seed)));
}

/** Scales weights to a spectral radius of |W| of 1, so that the network is neither silent nor saturated in any unit. */
function toUnitRadius(csr: Csr): Csr {
  const { value: radius } = spectralRadiusOfAbsolute(csr);
  // Without cycles the radius is 0; then the largest weight becomes 1.
  let scale = radius;
  if (scale === 0) for (const w of csr.values) scale = Math.max(scale, Math.abs(w));
  return scale > 0 ? mapValues(csr, (w) => w / scale) : csr;
}

/** The table for people. */
export function textOf(reports: readonly SubjectReport[]): string {
  const lines: string[] = [];
  for (const { name, description, nSteps, comparisons } of reports) {
    const [fewest, most] = [Math.min(...nSteps), Math.max(...nSteps)];
    lines.push(`${name}, ${description}, ${fewest === most ? "" : `${fewest} to `}${plural(most, "step")}`);
    const rows = comparisons.map((c) => [
      c.quantity,
      c.compared,
      c.reference,
      ...[c.size, c.error, c.bound].map((x) => x.toExponential(1)),
      c.verdict,
    ]);
    const table = [["quantity", "of", "against", "size", "error", "bound", "verdict"], ...rows];
    lines.push(...alignColumns(table).map((line) => `  ${line}`), "");
  }
  const all = reports.flatMap(({ comparisons }) => comparisons.map(({ verdict }) => verdict));
  const count = (verdict: string): number => all.filter((v) => v === verdict).length;
  lines.push(
    `${count("ok")} ok, ${count("FAIL")} failed, ${count("blunt")} blunt (bound too wide to prove anything)`,
    "",
  );
  return lines.join("\n");
}
