// Checks the engine against folders of reference values.
//
//   npm run goldens -- DIR… [--device wasm|webgpu|oracle] [--dtype f64|f32] [--case NAME]… [--json]
//
// One line per case: verdict, the array nearest to its bound (or furthest beyond it) with its error over the bound, notes. Exit
// code 0 when nothing failed, 1 when a case did, 2 for arguments or folders that cannot be used.

import { parseArgs } from "node:util";
import type { DType } from "../../src/core/dtype.ts";
import { ArgumentError, EngineError, nearestName } from "../../src/core/errors.ts";
import { sharedPath } from "../support/shared.ts";
import { DEVICES, type Device, defaultDtype, openDevice } from "./devices.ts";
import { type GoldenCase, readGoldens } from "./format.ts";
import { type CaseResult, checkCase, counts, formatResult } from "./report.ts";

const OPTIONS = {
  device: { type: "string" },
  dtype: { type: "string" },
  case: { type: "string", multiple: true },
  json: { type: "boolean" },
} as const;

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof EngineError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args);
  const device = oneOf("device", values.device ?? "wasm", DEVICES);
  const dtype = oneOf("dtype", values.dtype ?? defaultDtype(device), ["f64", "f32"]);
  const cases = select(await readFolders(positionals), values.case ?? []);
  const results = await runAll(cases, device, dtype, values.json ?? false);
  const { passed, failed, skipped } = counts(results);
  if (values.json) console.log(JSON.stringify({ device, dtype, passed, failed, skipped }));
  else console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return failed > 0 ? 1 : 0;
}

function parse(args: readonly string[]): ReturnType<typeof parseKnown> {
  for (const arg of args) {
    if (arg === "--") break;
    const name = /^--?([^=]*)/.exec(arg)?.[1];
    if (name === undefined || (arg.startsWith("--") && Object.hasOwn(OPTIONS, name))) continue;
    const near = nearestName(name, Object.keys(OPTIONS));
    const known = Object.keys(OPTIONS).map((option) => `--${option}`);
    throw new ArgumentError(
      "goldens",
      "options",
      near ? `--${near} or another of ${known.join(", ")}` : known.join(", "),
      arg,
    );
  }
  try {
    return parseKnown(args);
  } catch (error) {
    throw new ArgumentError(
      "goldens",
      "options",
      "an option with its value",
      error instanceof Error ? error.message : `${error}`,
    );
  }
}

function parseKnown(args: readonly string[]): {
  values: { device?: string; dtype?: string; case?: string[]; json?: boolean };
  positionals: string[];
} {
  return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
}

function oneOf<T extends string>(option: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((a) => a === value);
  if (found === undefined) throw new ArgumentError("goldens", `--${option}`, allowed.join(" or "), `"${value}"`);
  return found;
}

async function readFolders(folders: readonly string[]): Promise<GoldenCase[]> {
  const standard = sharedPath("goldens");
  const all = folders.length > 0 || standard === null ? folders : [standard];
  if (all.length === 0) throw new ArgumentError("goldens", "DIR", "at least one folder of reference values", "none");
  return (await Promise.all(all.map(readGoldens))).flat();
}

function select(cases: readonly GoldenCase[], names: readonly string[]): GoldenCase[] {
  for (const name of names) {
    if (cases.some((c) => c.name === name)) continue;
    const near = nearestName(
      name,
      cases.map((c) => c.name),
    );
    throw new ArgumentError("goldens", "--case", near ? `a case, such as ${near}` : "the name of a case", `"${name}"`);
  }
  return cases.filter((c) => names.length === 0 || names.includes(c.name));
}

async function runAll(
  cases: readonly GoldenCase[],
  device: Device,
  dtype: DType,
  json: boolean,
): Promise<CaseResult[]> {
  const backend = await openDevice(device, dtype);
  const results: CaseResult[] = [];
  try {
    for (const golden of cases) {
      const result = await checkCase(backend, golden);
      console.log(json ? JSON.stringify(result) : formatResult(result));
      results.push(result);
    }
  } finally {
    await backend.dispose();
  }
  return results;
}
