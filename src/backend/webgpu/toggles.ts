// Toggles of Dawn: switches of the WebGPU implementation itself, such as bounds checks in shaders and the resolution of timestamps.
//
// Dawn ignores unknown names, and its Node binding neither lists the names nor reports which are in force. A list written here would be
// wrong with the next release of Dawn. So the names are read from the strings of the loaded binary.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { ArgumentError, BackendError, nearestName } from "../../core/errors.ts";
import { quoteText } from "../../core/text.ts";

/** Toggles by name: whether each is on. */
export type Toggles = Readonly<Record<string, boolean>>;

/**
 * Environment variable with Dawn toggles: names separated by spaces, each with a prefix + (on) or - (off), as in
 * `+disable_robustness -timestamp_quantization`.
 */
export const TOGGLES_VARIABLE = "AXOGRAD_DAWN";

/**
 * Toggles of the environment and of the program, which takes precedence. Dawn must be loaded.
 *
 * @throws {ArgumentError} not of the form above, a value that is not boolean, or a name unknown to Dawn
 */
export function resolveToggles(given: Toggles = {}): Toggles {
  const named = parseToggles(process.env[TOGGLES_VARIABLE] ?? "");
  for (const name of Object.keys(named)) checkKnown(name, TOGGLES_VARIABLE);
  for (const [name, on] of Object.entries(given)) {
    checkKnown(name, `dawnToggles.${name}`);
    if (typeof on === "boolean") continue;
    throw new ArgumentError("webgpu", `dawnToggles.${name}`, "true or false", `${on}`);
  }
  return { ...named, ...given };
}

function parseToggles(text: string): Toggles {
  const toggles = new Map<string, boolean>();
  for (const word of text.split(/\s+/).filter((w) => w !== "")) {
    const [, sign, name] = /^([+-])(\w+)$/.exec(word) ?? [];
    if (name === undefined) {
      const form = "toggles of Dawn apart by spaces, each after + (on) or - (off)";
      throw new ArgumentError("webgpu", TOGGLES_VARIABLE, form, quoteText(word));
    }
    if (toggles.has(name)) throw new ArgumentError("webgpu", TOGGLES_VARIABLE, "each toggle once", `${name} twice`);
    toggles.set(name, sign === "+");
  }
  return Object.fromEntries(toggles);
}

/** Named in messages; tests check that Dawn has them. */
export const OFTEN: readonly string[] = ["disable_robustness", "dump_shaders", "timestamp_quantization"];

function checkKnown(name: string, argument: string): void {
  const known = knownToggles();
  if (known.has(name)) return;
  const near = nearestName(name, known);
  const expected = near
    ? `${near}, or another toggle of Dawn`
    : `one of the ${known.size} toggles of Dawn, ${OFTEN.join(", ")} among them`;
  throw new ArgumentError("webgpu", argument, expected, quoteText(name));
}

/** In the form of TOGGLES_VARIABLE: "+disable_robustness -timestamp_quantization". */
export function togglesText(toggles: Toggles): string {
  return Object.entries(toggles)
    .map(([name, on]) => `${on ? "+" : "-"}${name}`)
    .join(" ");
}

/** Arguments of `create()` of Dawn's Node binding. */
export function flagsOf(toggles: Toggles): string[] {
  const names = (on: boolean): string[] => Object.keys(toggles).filter((name) => toggles[name] === on);
  const flag = (what: string, list: string[]): string[] =>
    list.length > 0 ? [`${what}=${list.sort().join(",")}`] : [];
  return [...flag("enable-dawn-features", names(true)), ...flag("disable-dawn-features", names(false))];
}

/** A toggle's name at the end of a C string. Linkers let a string share the end of a longer one. */
const NAME = /(?<![A-Za-z0-9_])[a-z][a-z0-9]*(?:_[a-z0-9]+)+(?=\0)/g;
/** Dawn declares each toggle with a description and an issue's address, mostly of this form. */
const ISSUE = /crbug\.com\/dawn\//g;
/** The names lie in at most two ranges of the binary (short strings, long strings), with such addresses in or near them. */
const NEIGHBOURHOOD = 2 ** 15;

let names: ReadonlySet<string> | null = null;

/**
 * Names of the toggles of the loaded Dawn, and a few other names among them. If no addresses of issues mark the place, every name in the
 * binary: a name that is not among them is misspelt in any case.
 *
 * @throws {BackendError} "dawn-toggles": the binary cannot be read
 */
export function knownToggles(): ReadonlySet<string> {
  if (names) return names;
  const text = binary();
  const issues = [...text.matchAll(ISSUE)].map(({ index }) => index);
  const isNear = (at: number): boolean => issues.some((issue) => Math.abs(issue - at) < NEIGHBOURHOOD);
  const found = [...text.matchAll(NAME)].filter(({ index }) => issues.length === 0 || isNear(index));
  names = new Set(found.map(([name]) => name).sort());
  return names;
}

/** The bytes of the loaded add-on, one character each. */
function binary(): string {
  const path = Object.keys(createRequire(import.meta.url).cache).find((file) => file.endsWith("dawn.node"));
  try {
    if (path !== undefined) return readFileSync(path, "latin1");
  } catch (cause) {
    throw unreadable(path!, cause);
  }
  throw unreadable("no file of this name among the loaded modules");
}

function unreadable(got: string, cause?: unknown): BackendError {
  return new BackendError(
    "dawn-toggles",
    `webgpu: expected the add-on dawn.node, to read the names of its toggles, got ${got}. Run without toggles (${TOGGLES_VARIABLE}).`,
    {},
    cause,
  );
}
