// Signs of connections by the transmitter of the presynaptic neuron (Dale's principle), under the rules that projects use, or one from a file.

import type { Csr } from "../core/csr.ts";
import { indexArray } from "../core/csr.ts";
import { ArgumentError, FileFormatError } from "../core/errors.ts";
import type { NeuronColumn } from "../core/selector.ts";
import { quoteText } from "../core/text.ts";
import { columnIndex, forEachRow, namesText } from "../io/delimited.ts";
import { nearHint } from "../io/joinIds.ts";
import { isMissing } from "../io/neuronIds.ts";
import type { IdIndex } from "./types.ts";

/** +1 excites, −1 inhibits, 0: the connections are left out. */
export type Sign = 1 | -1 | 0;

/** The transmitter of neurons without one, or with an unclear one. */
export const UNCLEAR = "unclear";

const TRANSMITTERS = [
  "acetylcholine",
  "GABA",
  "glutamate",
  "dopamine",
  "serotonin",
  "octopamine",
  "tyramine",
  "histamine",
] as const;

type Transmitter = (typeof TRANSMITTERS)[number];

/** Spellings in published tables, in lower case, besides the names themselves. */
const SPELLINGS: Readonly<Record<string, Transmitter | typeof UNCLEAR>> = {
  ...{ ach: "acetylcholine", cholinergic: "acetylcholine" },
  ...{ gabaergic: "GABA", "gamma-aminobutyric acid": "GABA" },
  ...{ glut: "glutamate", glu: "glutamate", glutamatergic: "glutamate" },
  ...{ da: "dopamine", dop: "dopamine", dopaminergic: "dopamine" },
  ...{ ser: "serotonin", "5ht": "serotonin", "5-ht": "serotonin", serotonergic: "serotonin" },
  ...{ oct: "octopamine", oa: "octopamine", octopaminergic: "octopamine" },
  ...{ tyr: "tyramine", ta: "tyramine", tyraminergic: "tyramine" },
  ...{ hist: "histamine", his: "histamine", ha: "histamine", histaminergic: "histamine" },
  ...{ unclear: UNCLEAR, unknown: UNCLEAR, uncertain: UNCLEAR, undetermined: UNCLEAR },
};

const NAMES: ReadonlyMap<string, string> = new Map([
  ...TRANSMITTERS.map((name) => [name.toLowerCase(), name] as const),
  ...Object.entries(SPELLINGS),
]);

/** The rules by name. */
export type SignRuleName = "shiu" | "strict" | "permissive";

/** The sign of each transmitter; what is not named counts 0. */
type SignTable = Readonly<Partial<Record<string, Sign>>>;

/**
 * Sources. shiu: Shiu et al., "A Drosophila computational brain model reveals sensorimotor processing", Nature 634, 2024 (GABA and glutamate inhibit, all
 * else excites). strict: acetylcholine excites, GABA, glutamate and histamine inhibit, amines do neither. permissive: as strict, but dopamine,
 * serotonin and octopamine excite.
 */
export const SIGN_RULES: Readonly<Record<SignRuleName, SignTable>> = {
  shiu: {
    ...{ acetylcholine: 1, GABA: -1, glutamate: -1, dopamine: 1, serotonin: 1, octopamine: 1, tyramine: 1 },
    ...{ histamine: 1, unclear: 1 },
  },
  strict: { acetylcholine: 1, GABA: -1, glutamate: -1, histamine: -1 },
  permissive: {
    ...{ acetylcholine: 1, GABA: -1, glutamate: -1, histamine: -1, dopamine: 1, serotonin: 1, octopamine: 1 },
  },
};

/** A rule of a file: the sign of each transmitter, or of each neuron. */
export interface FileSignRule {
  readonly file: string;
  readonly kind: "transmitter" | "id";
  /** In the order of the file; no two are the same. */
  readonly keys: readonly string[];
  readonly signs: Int8Array;
  placeOf(entry: number): string;
}

/** A rule; none: weights keep their counts, and learning may give them either sign. */
export type SignRule = SignRuleName | "none" | FileSignRule;

/**
 * What becomes of neurons with an unclear transmitter: what the rule says (shiu: they excite; others: 0), a sign, no connections (drop), or an
 * error (refuse).
 */
export type UnclearPolicy = "rule" | "excite" | "inhibit" | "drop" | "refuse";

export const UNCLEAR_POLICIES: readonly UnclearPolicy[] = ["rule", "excite", "inhibit", "drop", "refuse"];

/** Neurons of a transmitter and a sign, and the connections from them. */
export interface SignCount {
  readonly transmitter: string;
  readonly sign: Sign;
  readonly neurons: number;
  readonly connections: number;
  readonly synapses: number;
}

/** Signs of neurons, and the transmitters that they follow from. */
export interface NeuronSigns {
  /** [neurons], +1, −1 or 0 by presynaptic neuron. */
  readonly signs: Int8Array;
  /** The transmitters of neurons in their usual spelling. */
  readonly transmitters: NeuronColumn;
  /** Ids in the file of the rule that are none of the neurons. */
  readonly unusedIds: number;
}

/** A matrix with signs. */
export interface SignedEdges {
  readonly csr: Csr;
  /** [neurons]; null: the rule is none. */
  readonly signs: Int8Array | null;
  /** By transmitter, then sign; empty: the rule is none. */
  readonly table: readonly SignCount[];
  /** Connections from neurons of sign 0, which were left out, and their synapses. */
  readonly droppedConnections: number;
  readonly droppedSynapses: number;
}

/** Names of rules, for errors and help. */
export const SIGN_RULE_NAMES: readonly string[] = [...Object.keys(SIGN_RULES), "none"];

/**
 * The rule of a name or a file: CSV with the columns transmitter and sign, or id and sign (+, −, +1, −1, 1, 0, excitatory, inhibitory).
 *
 * @throws {FileFormatError} missing or damaged file, other columns, a key twice, a sign that is none
 */
export async function signRuleOf(text: string): Promise<SignRule> {
  if (SIGN_RULE_NAMES.includes(text)) return text as SignRuleName | "none";
  const hint = /[./\\]/.test(text) ? "" : nearHint(text, SIGN_RULE_NAMES);
  return await readSignRule(text, `a rule of signs: ${SIGN_RULE_NAMES.join(", ")}${hint}, or ${RULE_FILE}`);
}

const SIGN_TEXTS: ReadonlyMap<string, Sign> = new Map([
  ...["+", "+1", "1", "excitatory"].map((text) => [text, 1] as const),
  ...["-", "−", "-1", "inhibitory"].map((text) => [text, -1] as const),
  ["0", 0],
]);

const RULE_FILE = "a CSV file with columns transmitter,sign or id,sign";

async function readSignRule(file: string, expected: string): Promise<FileSignRule> {
  const keys: string[] = [];
  const signs: number[] = [];
  const lines: number[] = [];
  const seen = new Set<string>();
  let kind: FileSignRule["kind"] = "transmitter";
  let [keyAt, signAt] = [0, 1];
  await forEachRow(
    file,
    expected,
    { header: true },
    {
      isHeader: () => true,
      start(names, width) {
        const all = names ?? [];
        const found = (["transmitter", "id"] as const).filter((name) => all.includes(name));
        if (found.length !== 1) {
          throw new FileFormatError(file, RULE_FILE, `columns ${namesText(all)}`);
        }
        kind = found[0]!;
        keyAt = columnIndex(kind, all, width, file);
        signAt = columnIndex("sign", all, width, file);
      },
      row(row) {
        const text = row.text(keyAt);
        const key = kind === "transmitter" ? transmitterKey(text) : text;
        const sign = SIGN_TEXTS.get(row.text(signAt).toLowerCase());
        if (sign === undefined) throw row.error(signAt, "a sign: +, - or 0");
        if (seen.has(key)) throw row.error(keyAt, `every ${kind} once`);
        seen.add(key);
        keys.push(key);
        signs.push(sign);
        lines.push(row.line);
      },
    },
  );
  if (keys.length === 0) throw new FileFormatError(file, "a rule of signs", "no row");
  return { file, kind, keys, signs: Int8Array.from(signs), placeOf: (entry) => `${file}:${lines[entry]}` };
}

/** The usual spelling of a transmitter; a name that is not in the table stays, in lower case. */
function transmitterKey(text: string): string {
  if (isMissing(text)) return UNCLEAR;
  const lower = text.trim().toLowerCase();
  return NAMES.get(lower) ?? lower;
}

/**
 * Signs of neurons by their transmitters.
 *
 * @param transmitters  null: neurons have none, so all are unclear
 * @param place where the transmitters come from, for messages
 * @throws {FileFormatError} a transmitter that is unknown, or that the file of the rule does not name; an unclear one where those are refused; a
 *   file of ids that names none of the neurons
 */
export function signsOf(
  transmitters: NeuronColumn | null,
  neurons: IdIndex,
  rule: Exclude<SignRule, "none">,
  unclear: UnclearPolicy,
  place: string,
): NeuronSigns {
  if (!UNCLEAR_POLICIES.includes(unclear)) {
    throw new ArgumentError("signsOf", "unclear", `one of ${UNCLEAR_POLICIES.join(", ")}`, quoteText(String(unclear)));
  }
  const column = settledTransmitters(transmitters, neurons.count);
  if (typeof rule !== "string" && rule.kind === "id") {
    return { ...signsById(rule, neurons, unclear), transmitters: column };
  }
  const table = tableOf(rule);
  const signByValue = column.values.map((name) => signOfTransmitter(name, table, rule, unclear, place));
  return { signs: Int8Array.from(column.valueIdx, (v) => signByValue[v]!), transmitters: column, unusedIds: 0 };
}

/** Transmitters in their usual spelling, those that neurons have only. */
function settledTransmitters(column: NeuronColumn | null, count: number): NeuronColumn {
  if (column === null) return { values: [UNCLEAR], valueIdx: new Uint32Array(count) };
  const numbers = new Map<string, number>();
  const places = new Int32Array(column.values.length).fill(-1);
  const valueIdx = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    const v = column.valueIdx[i]!;
    if (places[v]! < 0) {
      const key = transmitterKey(column.values[v]!);
      if (!numbers.has(key)) numbers.set(key, numbers.size);
      places[v] = numbers.get(key)!;
    }
    valueIdx[i] = places[v]!;
  }
  return { values: [...numbers.keys()], valueIdx };
}

function tableOf(rule: Exclude<SignRule, "none">): ReadonlyMap<string, Sign> {
  if (typeof rule === "string") return new Map(Object.entries(SIGN_RULES[rule]) as [string, Sign][]);
  return new Map(rule.keys.map((key, k) => [key, rule.signs[k] as Sign]));
}

function signOfTransmitter(
  name: string,
  table: ReadonlyMap<string, Sign>,
  rule: Exclude<SignRule, "none">,
  unclear: UnclearPolicy,
  place: string,
): Sign {
  if (name === UNCLEAR) return signOfUnclear(unclear, table.get(UNCLEAR) ?? 0, place);
  const sign = table.get(name);
  if (sign !== undefined) return sign;
  if (typeof rule !== "string") {
    const hint = nearHint(name, [...table.keys()]);
    throw new FileFormatError(place, `transmitters that ${rule.file} names`, `${quoteText(name)}${hint}`);
  }
  if ((TRANSMITTERS as readonly string[]).includes(name)) return 0;
  const known = `${TRANSMITTERS.join(", ")} or unclear (a file of signs may name others: --signs FILE)`;
  throw new FileFormatError(place, known, `${quoteText(name)}${nearHint(name, [...NAMES.keys()])}`);
}

function signOfUnclear(policy: UnclearPolicy, byRule: Sign, place: string): Sign {
  switch (policy) {
    case "rule":
      return byRule;
    case "excite":
      return 1;
    case "inhibit":
      return -1;
    case "drop":
      return 0;
    case "refuse":
      throw new FileFormatError(place, "a clear transmitter for every neuron", "neurons with none or an unclear one");
  }
}

/** Signs of the neurons that a file names; all others are unclear. The file may name neurons that are not imported. */
function signsById(
  rule: FileSignRule,
  neurons: IdIndex,
  unclear: UnclearPolicy,
): Pick<NeuronSigns, "signs" | "unusedIds"> {
  const found = new Int32Array(rule.keys.length);
  neurons.lookup(rule.keys, found, rule.placeOf);
  const isNamed = new Uint8Array(neurons.count);
  const signs = new Int8Array(neurons.count);
  let unusedIds = 0;
  found.forEach((i, k) => {
    if (i < 0) {
      unusedIds++;
      return;
    }
    if (isNamed[i] === 1) {
      throw new FileFormatError(rule.placeOf(k), "every neuron once", `${quoteText(rule.keys[k]!)} again`);
    }
    isNamed[i] = 1;
    signs[i] = rule.signs[k]!;
  });
  if (unusedIds === found.length) {
    const got = `${quoteText(rule.keys[0]!)} and others that are none of them`;
    throw new FileFormatError(rule.file, "ids of the neurons", got);
  }
  if (isNamed.includes(0)) {
    const others = signOfUnclear(unclear, 0, rule.file);
    for (let i = 0; i < signs.length; i++) if (isNamed[i] === 0) signs[i] = others;
  }
  return { signs, unusedIds };
}

/**
 * Gives every connection the sign of its presynaptic neuron; those of sign 0 are left out and counted.
 *
 * @param csr [post, pre], counts of synapses
 * @param of null: the rule is none, and the matrix stays
 */
export function signEdges(csr: Csr, of: NeuronSigns | null): SignedEdges {
  if (of === null) return { csr, signs: null, table: [], droppedConnections: 0, droppedSynapses: 0 };
  const { signs } = of;
  const { nRows, nCols, rowPtr, colIdx, values, nnz } = csr;
  const connections = new Uint32Array(nCols);
  const synapses = new Float64Array(nCols);
  for (let k = 0; k < nnz; k++) {
    connections[colIdx[k]!]!++;
    synapses[colIdx[k]!]! += values[k]!;
  }
  let [droppedConnections, droppedSynapses] = [0, 0];
  signs.forEach((sign, j) => {
    if (sign !== 0) return;
    droppedConnections += connections[j]!;
    droppedSynapses += synapses[j]!;
  });
  const kept = nnz - droppedConnections;
  const signed = {
    rowPtr: new Uint32Array(nRows + 1),
    colIdx: indexArray(nCols, kept),
    values: values instanceof Float32Array ? new Float32Array(kept) : new Float64Array(kept),
  };
  let at = 0;
  for (let i = 0; i < nRows; i++) {
    for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) {
      const sign = signs[colIdx[k]!]!;
      if (sign === 0) continue;
      signed.colIdx[at] = colIdx[k]!;
      signed.values[at++] = sign * values[k]!;
    }
    signed.rowPtr[i + 1] = at;
  }
  const table = countSigns(of, connections, synapses);
  return { csr: { ...csr, ...signed, nnz: kept }, signs, table, droppedConnections, droppedSynapses };
}

function countSigns(
  { signs, transmitters }: NeuronSigns,
  connections: Uint32Array,
  synapses: Float64Array,
): readonly SignCount[] {
  const counts = new Map<number, { neurons: number; connections: number; synapses: number }>();
  const keyOf = (j: number): number => 3 * transmitters.valueIdx[j]! + 1 + signs[j]!;
  for (let j = 0; j < signs.length; j++) {
    const key = keyOf(j);
    const sum = counts.get(key) ?? { neurons: 0, connections: 0, synapses: 0 };
    counts.set(key, sum);
    sum.neurons++;
    sum.connections += connections[j]!;
    sum.synapses += synapses[j]!;
  }
  const order = new Map<string, number>([...TRANSMITTERS].map((name, i) => [name, i]));
  const rank = ({ transmitter }: SignCount): number =>
    transmitter === UNCLEAR ? Number.POSITIVE_INFINITY : (order.get(transmitter) ?? TRANSMITTERS.length);
  const rows = Array.from(counts, ([key, sum]): SignCount => {
    const transmitter = transmitters.values[Math.floor(key / 3)]!;
    return { transmitter, sign: ((key % 3) - 1) as Sign, ...sum };
  });
  // Infinity − Infinity is no order.
  return rows.sort((a, b) => (rank(a) === rank(b) ? b.sign - a.sign : rank(a) - rank(b)));
}
