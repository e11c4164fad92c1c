// Neurons in the order in which plots show them: input, hidden, output, and within these by cell type.

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

/**
 * Groups by cell type; by role if the table has more types than a picture can show. The roles are those of the table or of
 * `rolesByProjections`.
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
  if (groups.length > MAX_GROUPS) return groupsByRole(role);
  return ROLES.flatMap((r) => groups.filter((group) => group.role === r));
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
