// Neurons in the order in which plots show them: input, hidden, output, and within these by cell type.

import { plural } from "../core/text.ts";
import type { NeuronRole, NeuronTable } from "../io/neuronTable.ts";

export interface NeuronGroup {
  readonly name: string;
  readonly role: NeuronRole;
  /** Indices, ascending. */
  readonly neurons: Uint32Array;
}

const ROLES: readonly NeuronRole[] = ["input", "hidden", "output"];

/** More groups cannot be told apart in a picture. */
const MAX_GROUPS = 256;
/** Of more types the most frequent ones are groups, and the rest of each role is one. */
const NAMED_GROUPS = 48;

/**
 * Groups by cell type; of more types than a picture can show, the most frequent ones, and one group per role for the others. The roles are
 * those of the table or of `rolesByProjections`; a type has that of its first neuron.
 */
export function groupsByType({
  count,
  types,
  typeIdx,
  role,
}: NeuronTable & { readonly role: readonly NeuronRole[] }): NeuronGroup[] {
  const members = types.map(() => [] as number[]);
  for (let i = 0; i < count; i++) members[typeIdx[i]!]!.push(i);
  const groups = members.flatMap((neurons, t) =>
    neurons.length === 0 ? [] : [{ name: types[t]!, role: role[neurons[0]!]!, neurons: Uint32Array.from(neurons) }],
  );
  const bySize = [...groups].sort((a, b) => b.neurons.length - a.neurons.length);
  const named = new Set(groups.length > MAX_GROUPS ? bySize.slice(0, NAMED_GROUPS) : groups);
  return ROLES.flatMap((r) => {
    const own = groups.filter((group) => group.role === r);
    const others = own.filter((group) => !named.has(group));
    return [...own.filter((group) => named.has(group)), ...(others.length === 0 ? [] : [together(others, r)])];
  });
}

function together(groups: readonly NeuronGroup[], role: NeuronRole): NeuronGroup {
  const neurons = Uint32Array.from(groups.flatMap((group) => Array.from(group.neurons))).sort();
  return { name: plural(groups.length, "other type"), role, neurons };
}

/** Groups by input and read-out, for networks without a neuron table. */
export function groupsByProjections(...wiring: Parameters<typeof rolesByProjections>): NeuronGroup[] {
  return groupsByRole(rolesByProjections(...wiring));
}

function groupsByRole(roles: readonly NeuronRole[]): NeuronGroup[] {
  const everyone = Uint32Array.from(roles.keys());
  return ROLES.map((role) => ({ name: role, role, neurons: everyone.filter((i) => roles[i] === role) })).filter(
    ({ neurons }) => neurons.length > 0,
  );
}

/** The role of every neuron by its input and read-out. */
export function rolesByProjections(
  numNeurons: number,
  isDriven: (neuron: number) => boolean,
  isRead: (neuron: number) => boolean,
): NeuronRole[] {
  return Array.from({ length: numNeurons }, (_, i) => (isDriven(i) ? "input" : isRead(i) ? "output" : "hidden"));
}
