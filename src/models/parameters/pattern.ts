// Patterns that choose parameters: by their names in files, or by their roles in the model; and of these, the elements of some neurons.

import { ArgumentError, nearestName } from "../../core/errors.ts";
import { quoteText } from "../../core/text.ts";
import { PARAMETER_ROLES, type Parameter, type ParameterRole } from "./parameter.ts";

/**
 * The name of a parameter in files ("rnn.hh.values"), or a role ("weights", "biases", "time constants", "input", "output", "read-out").
 * `*` stands for any text, a hyphen for the space in a role; `!` at the beginning chooses all parameters but those that match the rest.
 *
 * Where elements can be chosen, selectors of neurons in brackets leave those of their neurons: `biases[type=T4*]`; of connections those to them,
 * `weights[superclass=descending]`, or from them, `weights[pre: side=L]`; `weights[pre: type=T4a][post: type=LPLC1]`: both.
 */
export type ParameterPattern = string;

/** Neurons in a pattern: `[selector]`, `[pre: selector]`, `[post: selector]`. */
export interface PatternNeurons {
  /** Sending or receiving neurons; null: the receiving ones, of a projection out of the network the sending ones. */
  readonly end: "pre" | "post" | null;
  readonly selector: string;
}

/** A pattern in parts. */
export interface ParsedPattern {
  readonly parameters: ParameterPattern;
  /** All of them hold. */
  readonly neurons: readonly PatternNeurons[];
}

/** @throws {ArgumentError} brackets that do not match, neurons behind a pattern with `!` */
export function parsePattern(where: string, argument: string, pattern: ParameterPattern): ParsedPattern {
  const first = pattern.indexOf("[");
  if (first < 0) return { parameters: pattern, neurons: [] };
  const parameters = pattern.slice(0, first).trimEnd();
  const refuse = (expected: string): ArgumentError =>
    new ArgumentError(where, argument, expected, quoteText(pattern, 200));
  if (parameters.startsWith("!")) throw refuse("a pattern without ! in front of neurons; [!selector] has all others");
  const neurons: PatternNeurons[] = [];
  let rest = pattern.slice(first);
  while (rest !== "") {
    const end = rest.startsWith("[") ? closingBracket(rest, 0) : -1;
    if (end < 0) throw refuse("neurons in brackets, like biases[type=T4*] or weights[pre: side=L]");
    const inner = rest.slice(1, end);
    const side = /^\s*(pre|post)\s*:/.exec(inner);
    neurons.push({ end: (side?.[1] as "pre" | "post") ?? null, selector: inner.slice(side?.[0].length ?? 0) });
    rest = rest.slice(end + 1).trimStart();
  }
  return { parameters, neurons };
}

/** The place of the "]" that ends the "[" at `open`, outside of quotes; −1: there is none. */
export function closingBracket(text: string, open: number): number {
  let isQuoted = false;
  for (let i = open + 1; i < text.length; i++) {
    if (text[i] === '"') isQuoted = !isQuoted;
    else if (text[i] === "]" && !isQuoted) return i;
  }
  return -1;
}

/** What a pattern looks at. */
export type Named = Pick<Parameter, "name" | "role">;

/**
 * The parameters that match, in their order.
 *
 * @param where     of the error: the function that was called
 * @param argument  of the error: the option that has the pattern
 * @throws {ArgumentError} nothing matches (with the nearest name), a pattern with neurons
 */
export function matchingParameters<P extends Named>(
  where: string,
  argument: string,
  pattern: ParameterPattern,
  parameters: readonly P[],
): P[] {
  if (parsePattern(where, argument, pattern).neurons.length > 0) {
    throw new ArgumentError(where, argument, "parameters as a whole, without neurons", quoteText(pattern, 200));
  }
  const isNegated = pattern.startsWith("!");
  const positive = isNegated ? pattern.slice(1) : pattern;
  const regExp = regExpOf(positive);
  const matches = parameters.filter(({ name, role }) => [name, ...spellings(role)].some((text) => regExp.test(text)));
  if (matches.length === 0) {
    const names = [...new Set([...parameters.map(({ name }) => name), ...parameters.map(({ role }) => role)])];
    const near = nearestName(positive, names);
    const known = `a name or role of parameters (${names.join(", ")}), perhaps with *`;
    const hint = near ? `, did you mean "${near}"?` : "";
    throw new ArgumentError(where, argument, known, `"${pattern}"${hint}`);
  }
  if (!isNegated) return matches;
  const others = parameters.filter((p) => !matches.includes(p));
  if (others.length > 0) return others;
  throw new ArgumentError(where, argument, "a pattern that leaves parameters", `"${pattern}", which excludes all`);
}

/** Whether the pattern is a role, perhaps with neurons, of which no parameter is trained. */
export function isIdleRole(
  pattern: ParameterPattern,
  parameters: readonly Pick<Parameter, "role" | "trainable">[],
): boolean {
  const name = pattern.replace(/\s*\[.*$/s, "");
  const isNamed = (role: ParameterRole) => spellings(role).includes(name);
  return PARAMETER_ROLES.some(isNamed) && !parameters.some(({ role, trainable }) => trainable && isNamed(role));
}

/**
 * The trainable parameters that match. Those that the model has frozen are passed over if a wildcard or `!` includes them.
 *
 * @throws {ArgumentError} nothing matches; the pattern names a parameter that the model has frozen, or matches no others
 */
export function matchingTrainable<P extends Named & Pick<Parameter, "trainable">>(
  where: string,
  argument: string,
  pattern: ParameterPattern,
  parameters: readonly P[],
): P[] {
  const matches = matchingParameters(where, argument, pattern, parameters);
  const trainable = matches.filter((p) => p.trainable);
  const frozen = matches.find((p) => !p.trainable);
  if (!frozen || (trainable.length > 0 && /^!|\*/.test(pattern))) return trainable;
  const got = `"${pattern}", which is ${frozen.name}, frozen by the model itself`;
  throw new ArgumentError(where, argument, "parameters that the model trains", got);
}

/** "time constants" and "time-constants". */
function spellings(role: string): string[] {
  return [role, role.replaceAll(" ", "-")];
}

function regExpOf(pattern: string): RegExp {
  const parts = pattern.split("*").map((text) => text.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`);
}
