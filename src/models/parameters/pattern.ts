// Patterns that choose parameters: by their names in files, or by their roles in the model.

import { ArgumentError, nearestName } from "../../core/errors.ts";
import type { Parameter } from "./parameter.ts";

/**
 * The name of a parameter in files ("rnn.hh.values"), or a role ("weights", "biases", "time constants", "input", "output", "read-out").
 * `*` stands for any text, a hyphen for the space in a role; `!` at the beginning chooses all parameters but those that match the rest.
 */
export type ParameterPattern = string;

/** What a pattern looks at. */
export type Named = Pick<Parameter, "name" | "role">;

/**
 * The parameters that match, in their order.
 *
 * @param where     of the error: the function that was called
 * @param argument  of the error: the option that has the pattern
 * @throws {ArgumentError} nothing matches; the message has the nearest name
 */
export function matchingParameters<P extends Named>(
  where: string,
  argument: string,
  pattern: ParameterPattern,
  parameters: readonly P[],
): P[] {
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
