// What instructions read, write and take, in one table: lowering, both executors, checks and printing follow it.

import type { BindingId, Instr, PointwiseOp, ValueId } from "./program.ts";

/** How an instruction uses the memory of a binding. */
export type AccessRole =
  | "read" //   read at the instruction's own rows
  | "gather" // read at rows of other tiles: complete before the phase
  | "write" //  replaced at the instruction's own rows; added to where the instruction says `accumulate`
  | "add" //    added to
  | "reduce"; // like "write", but complete only after the phase

/** What a field of an instruction is: a binding, a value of the phase, or a literal (a number or a switch). */
export type Role = AccessRole | "value" | "literal";

/** A role for each field; fields of a nested object (`grad`) have roles of their own. */
type RolesOf<Fields> = {
  readonly [Name in Exclude<keyof Fields, "op">]-?: NonNullable<Fields[Name]> extends object
    ? RolesOf<NonNullable<Fields[Name]>>
    : Role;
};

/** Instructions with named fields; the `args` of pointwise ones are values. */
type NamedOp = Exclude<Instr["op"], PointwiseOp>;

/**
 * The role of each field of each instruction. The order of fields is the order of `operandsOf` and `accessesOf`, which decides the order
 * of the offsets in a shader's uniform block.
 */
export const ROLES: { readonly [Op in NamedOp]: RolesOf<Extract<Instr, { readonly op: Op }>> } = {
  load: { binding: "read" },
  const: { value: "literal" },
  rowIndex: {},
  lookup: { table: "read", index: "value" },
  random: { key: "read", sampleId: "value" },
  gather: { source: "gather", index: "gather" },
  segmentSum: { source: "gather", offsets: "gather", members: "gather" },
  gatherT: { source: "gather", index: "gather", offsets: "gather" },
  matmul: { matrix: "gather", x: "gather" },
  matmulT: { matrix: "gather", g: "gather", needCt: "literal", grad: { x: "value", binding: "add" } },
  store: { binding: "write", value: "value", accumulate: "literal" },
  scatter: { table: "add", index: "value", value: "value" },
  reduceRows: { binding: "reduce", value: "value", how: "literal", accumulate: "literal" },
  reduceLanes: { binding: "reduce", value: "value", accumulate: "literal" },
};

/** One operand of an instruction: its name ("matrix", "grad.x", "args.0"), its role, and the binding, value or literal it is. */
export type Operand =
  | { readonly name: string; readonly role: AccessRole; readonly is: BindingId }
  | { readonly name: string; readonly role: "value"; readonly is: ValueId }
  | { readonly name: string; readonly role: "literal"; readonly is: number | string | boolean };

interface RolesTable {
  readonly [name: string]: Role | RolesTable;
}

/** A field of an instruction, or of an object in it. */
interface Field {
  readonly name: string;
  readonly path: readonly string[];
  readonly role: Role;
}

/** ROLES, a flat list for each instruction. */
const FIELDS: ReadonlyMap<string, readonly Field[]> = new Map(
  Object.entries<RolesTable>(ROLES).map(([op, roles]) => [op, fieldsOf(roles, [])]),
);

function fieldsOf(roles: RolesTable, above: readonly string[]): readonly Field[] {
  return Object.entries(roles).flatMap(([name, role]) => {
    const path = [...above, name];
    return typeof role === "object" ? fieldsOf(role, path) : [{ name: path.join("."), path, role }];
  });
}

/** Whether instructions of this name have an operand of this role. */
export function hasRole(op: string, role: Role): boolean {
  return FIELDS.get(op)?.some((field) => field.role === role) ?? false;
}

/** The operands of an instruction, in the order of ROLES. Those that it may lack and does (`grad`, `offsets`) are left out. */
export function operandsOf(instr: Instr): readonly Operand[] {
  if ("args" in instr) return instr.args.map((is, k) => ({ name: `args.${k}`, role: "value", is }));
  const operands: Operand[] = [];
  for (const { name, path, role } of FIELDS.get(instr.op)!) {
    let is: unknown = instr;
    for (const key of path) is = is && Reflect.get(is, key);
    if (is !== null && is !== undefined) operands.push({ name, role, is } as Operand);
  }
  return operands;
}

/** A binding that an instruction uses, and how. */
export interface Access {
  readonly binding: BindingId;
  readonly role: AccessRole;
}

/** The memory that an instruction touches, in the order of ROLES. */
export function accessesOf(instr: Instr): readonly Access[] {
  if ("args" in instr) return [];
  return operandsOf(instr).flatMap(({ role, is }) =>
    role === "value" || role === "literal" ? [] : [{ binding: is, role }],
  );
}

/** Whether an access changes memory. */
export function isWrite({ role }: Access): boolean {
  return role === "write" || role === "add" || role === "reduce";
}

/** Whether an instruction changes memory. Others only make a value. */
export function hasEffect(instr: Instr): boolean {
  return accessesOf(instr).some(isWrite);
}

/** The values of the phase that an instruction takes. */
export function valuesOf(instr: Instr): readonly ValueId[] {
  if ("args" in instr) return instr.args;
  return operandsOf(instr).flatMap(({ role, is }) => (role === "value" ? [is] : []));
}

/** The same instruction, with `rename(value)` for every value that it takes. */
export function withValues(instr: Instr, rename: (value: ValueId) => ValueId): Instr {
  if ("args" in instr) return { ...instr, args: instr.args.map(rename) };
  return renamedIn(instr, ROLES[instr.op], rename) as Instr;
}

function renamedIn(fields: object, roles: RolesTable, rename: (value: ValueId) => ValueId): object {
  const renamed: Record<string, unknown> = { ...fields };
  for (const [name, role] of Object.entries(roles)) {
    const is: unknown = Reflect.get(fields, name);
    if (role === "value") renamed[name] = rename(is as ValueId);
    else if (typeof role === "object" && is) renamed[name] = renamedIn(is, role, rename);
  }
  return renamed;
}

/** Indices of the values `roots` and of all that they depend on, ascending. */
export function closureOf(instrs: readonly Instr[], roots: readonly ValueId[]): readonly ValueId[] {
  const needed = new Set<ValueId>();
  const visit = (id: ValueId): void => {
    if (needed.has(id)) return;
    needed.add(id);
    valuesOf(instrs[id]!).forEach(visit);
  };
  roots.forEach(visit);
  return [...needed].sort((a, b) => a - b);
}
