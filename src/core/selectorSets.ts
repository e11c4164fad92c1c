// The neurons that selectors name, by the columns of a table and by the connections between neurons.

import { ArgumentError, nearestName } from "./errors.ts";
import {
  type FileElement,
  type IdReader,
  INDEX,
  KEYWORDS,
  type NeuronColumn,
  type NeuronColumns,
  type Pattern,
  ROLES,
  type Selector,
  type SelectorElement,
  type SelectorNode,
  type SelectorPlace,
  type Span,
  selectorWord,
  type ValueElement,
} from "./selector.ts";
import { plural, quoteText } from "./text.ts";

/**
 * What a part with graph terms is evaluated to: itself, or a set that contains it or that it contains, whatever the connections are.
 */
type Bound = "exact" | "upper" | "lower";

/** An id where neurons have none: their index. */
const ID = /^(\d{1,15})$/;
const OPPOSITE: Readonly<Record<Bound, Bound>> = { exact: "exact", upper: "lower", lower: "upper" };

/**
 * The neurons of a selector, ascending. Elements without a name are `all`, a role (input, hidden, output), an index or a range of indices,
 * or else a type.
 *
 * @param readIds  reads the file of an element @FILE; null: files cannot be given
 * @throws {ArgumentError} a column, a value or an index that no neuron has (with the nearest one), or a selection without a neuron, naming
 *   the part that is empty
 */
export function neuronsOfSelector(
  { text, root }: Selector,
  neurons: NeuronColumns,
  place: SelectorPlace,
  readIds: IdReader | null = null,
): Uint32Array {
  return new Evaluation(text, neurons, place, readIds).chosen(root, "exact");
}

/** Neurons that a selector may name. */
export interface SelectorCandidates {
  /** Ascending. */
  readonly indices: Uint32Array;
  /** Whether these are the neurons that it names: it asks nothing of connections. */
  readonly isExact: boolean;
}

/**
 * The neurons that a selector may name, whatever the connections between neurons are: terms about connections count as all neurons, under
 * a negation as none.
 *
 * @throws {ArgumentError} as `neuronsOfSelector`, except that connections need not be known
 */
export function candidatesOfSelector(
  { text, root }: Selector,
  neurons: NeuronColumns,
  place: SelectorPlace,
  readIds: IdReader | null = null,
): SelectorCandidates {
  const indices = new Evaluation(text, neurons, place, readIds).chosen(root, "upper");
  return { indices, isExact: !asksForConnections(root) };
}

function asksForConnections(node: SelectorNode): boolean {
  switch (node.kind) {
    case "list":
      return false;
    case "not":
      return asksForConnections(node.of);
    case "and":
    case "or":
      return node.parts.some(asksForConnections);
    default:
      return true;
  }
}

function indicesOf(members: Uint8Array): Uint32Array {
  const indices = new Uint32Array(sizeOf(members));
  let next = 0;
  for (let i = 0; i < members.length; i++) if (members[i] === 1) indices[next++] = i;
  return indices;
}

function sizeOf(members: Uint8Array): number {
  let size = 0;
  for (const isIn of members) size += isIn;
  return size;
}

const numbersOfColumns = new WeakMap<NeuronColumn, ReadonlyMap<string, readonly number[]>>();

/** Numbers of the values of a column by text: those that neurons have. */
function numbersOf(column: NeuronColumn): ReadonlyMap<string, readonly number[]> {
  const known = numbersOfColumns.get(column);
  if (known) return known;
  const { values, valueIdx } = column;
  const used = new Uint8Array(values.length);
  for (let i = 0; i < valueIdx.length; i++) used[valueIdx[i]!] = 1;
  const byText = new Map<string, number[]>();
  values.forEach((text, v) => {
    if (!used[v]) return;
    const same = byText.get(text);
    if (same) same.push(v);
    else byText.set(text, [v]);
  });
  numbersOfColumns.set(column, byText);
  return byText;
}

/** Marks of the values of columns that a list names. */
class Wanted {
  readonly #flags = new Map<NeuronColumn, Uint8Array>();

  add(column: NeuronColumn, numbers: readonly number[]): void {
    const flags = this.#flags.get(column) ?? new Uint8Array(column.values.length);
    this.#flags.set(column, flags);
    for (const v of numbers) flags[v] = 1;
  }

  /** Neurons are visited once per column, whatever the length of the list. */
  mark(members: Uint8Array): void {
    for (const [{ valueIdx }, flags] of this.#flags) {
      for (let i = 0; i < members.length; i++) members[i]! |= flags[valueIdx[i]!]!;
    }
  }
}

class Evaluation {
  readonly #text: string;
  readonly #neurons: NeuronColumns;
  readonly #place: SelectorPlace;
  readonly #readIds: IdReader | null;
  /** Terms about connections, which take long. */
  readonly #known = new Map<SelectorNode, Uint8Array>();

  constructor(text: string, neurons: NeuronColumns, place: SelectorPlace, readIds: IdReader | null) {
    this.#text = text;
    this.#neurons = neurons;
    this.#place = place;
    this.#readIds = readIds;
  }

  /** @throws {ArgumentError} none is */
  chosen(root: SelectorNode, bound: Bound): Uint32Array {
    const indices = indicesOf(this.#members(root, bound));
    if (indices.length > 0) return indices;
    const { where, argument } = this.#place;
    throw new ArgumentError(where, argument, "at least one neuron", `none: ${this.#whyEmpty(root, bound)}`);
  }

  /** [count], 1 for the neurons of a part. */
  #members(node: SelectorNode, bound: Bound): Uint8Array {
    switch (node.kind) {
      case "list":
        return this.#listed(node.elements);
      case "not":
        return this.#members(node.of, OPPOSITE[bound]).map((isIn) => 1 - isIn);
      case "reach":
      case "largest":
        return this.#connected(node, bound);
      default: {
        const [first, ...others] = node.parts;
        const members = this.#members(first!, bound);
        const isAnd = node.kind === "and";
        for (const part of others) {
          const more = this.#members(part, bound);
          for (let i = 0; i < members.length; i++) {
            members[i] = isAnd ? members[i]! & more[i]! : members[i]! | more[i]!;
          }
        }
        return members;
      }
    }
  }

  #connected(node: SelectorNode & { readonly kind: "reach" | "largest" }, bound: Bound): Uint8Array {
    if (bound !== "exact") {
      // Its words are checked although they do not count.
      if (node.kind === "reach") this.#members(node.of, bound);
      return new Uint8Array(this.#neurons.count).fill(bound === "upper" ? 1 : 0);
    }
    const known = this.#known.get(node) ?? this.#asked(node);
    this.#known.set(node, known);
    return known.slice();
  }

  #asked(node: SelectorNode & { readonly kind: "reach" | "largest" }): Uint8Array {
    const { graph } = this.#neurons;
    if (!graph) throw this.#error(node, "a selector without connections, which are not known here,");
    if (node.kind === "largest") return graph.largestComponent(node.component);
    return graph.reach(indicesOf(this.#members(node.of, "exact")), node.steps, node.direction);
  }

  /** Why a part without neurons has none. */
  #whyEmpty(node: SelectorNode, bound: Bound): string {
    switch (node.kind) {
      case "not":
        return `all ${plural(this.#neurons.count, "neuron")} are in ${this.#quote(node.of)}`;
      case "or":
        return node.parts.map((part) => this.#whyEmpty(part, bound))[0]!;
      case "and":
        return this.#whyDisjoint(node.parts, bound);
      case "reach":
        return bound === "exact" ? this.#whyEmpty(node.of, bound) : `${this.#quote(node)} is empty`;
      default:
        return `${this.#quote(node)} is empty`;
    }
  }

  #whyDisjoint(parts: readonly SelectorNode[], bound: Bound): string {
    const sets = parts.map((part) => this.#members(part, bound));
    const empty = sets.findIndex((set) => sizeOf(set) === 0);
    if (empty >= 0) return this.#whyEmpty(parts[empty]!, bound);
    const common = sets[0]!.slice();
    let k = 0;
    let before = sizeOf(common);
    while (k + 1 < sets.length) {
      k++;
      for (let i = 0; i < common.length; i++) common[i]! &= sets[k]![i]!;
      const left = sizeOf(common);
      if (left === 0) break;
      before = left;
    }
    const first = this.#quote({ begin: parts[0]!.begin, end: parts[k - 1]!.end });
    const last = this.#quote(parts[k]!);
    return `no neuron is in both ${first} (${plural(before, "neuron")}) and ${last} (${plural(sizeOf(sets[k]!), "neuron")})`;
  }

  #listed(elements: readonly SelectorElement[]): Uint8Array {
    const members = new Uint8Array(this.#neurons.count);
    const wanted = new Wanted();
    for (const element of elements) {
      if (element.kind === "file") this.#addFile(element, members, wanted);
      else this.#addValue(element, members, wanted);
    }
    wanted.mark(members);
    return members;
  }

  #addValue(element: ValueElement, members: Uint8Array, wanted: Wanted): void {
    const { pattern, quoted } = element;
    const word = pattern.join("*");
    const isExact = pattern.length === 1;
    let { column } = element;
    if (column === null && !quoted) {
      if (element.after !== null) this.#checkMeaning(element, element.after, word);
      if (word === "all" || word === "*") {
        members.fill(1);
        return;
      }
      if (isExact && INDEX.test(word)) column = "index";
      else if (ROLES.includes(word)) column = "role";
    }
    column ??= "type";
    const found = this.#columnOf(column);
    if (found === "indices") {
      const range = this.#rangeOf(column, isExact ? word : "");
      if (typeof range === "string") throw this.#error(element, range);
      members.fill(1, ...range);
      return;
    }
    if (!found) throw this.#noColumn(element, column, element.column === null ? word : null);
    const byText = numbersOf(found);
    const numbers = this.#numbersFor(pattern, byText);
    if (numbers.length === 0 && !isPresence(pattern)) {
      throw this.#error(element, this.#valueExpected(column, word, byText, element));
    }
    wanted.add(found, numbers);
  }

  /** A column; "indices": ids or indices that count from 0; undefined: the neurons have none of this name. */
  #columnOf(name: string): NeuronColumn | "indices" | undefined {
    if (name === "index") return "indices";
    return this.#neurons.columns.get(name) ?? (name === "id" ? "indices" : undefined);
  }

  #numbersFor(pattern: Pattern, byText: ReadonlyMap<string, readonly number[]>): readonly number[] {
    if (pattern.length === 1) return byText.get(pattern[0]!) ?? [];
    const isAny = isPresence(pattern);
    const numbers: number[] = [];
    for (const [text, own] of byText) {
      if (isAny ? text !== "" : matches(pattern, text)) numbers.push(...own);
    }
    return numbers;
  }

  /** Indices that a word stands for, without the last; or what was expected. */
  #rangeOf(column: string, word: string): readonly [from: number, to: number] | string {
    const { count } = this.#neurons;
    const [, first, last = first] = (column === "index" ? INDEX : ID).exec(word) ?? [];
    const [from, to] = [Number(first), Number(last)];
    if (from <= to && to < count) return [from, to + 1];
    const expected = column === "index" ? "an index or a range of indices" : "an id, which is an index here,";
    return `${expected} from 0 to ${count - 1}`;
  }

  /** A word like 2 or all behind "|" means what it does elsewhere, unless it could be a value of the column before it. */
  #checkMeaning(element: ValueElement, column: string, word: string): void {
    const found = this.#columnOf(column);
    if (!found || found === "indices") return;
    const byText = numbersOf(found);
    const isIndex = INDEX.test(word);
    const isPossible = isIndex ? [...byText.keys()].some((text) => INDEX.test(text)) : byText.has(word);
    if (!isPossible) return;
    const other = isIndex ? "an index" : word === "all" ? "all neurons" : "a role";
    const name = selectorWord(column);
    throw this.#error(element, `"${name}=${word}" for a value of ${quoteText(column)}, or "(${word})" for ${other}`);
  }

  /** The neurons whose values are in a file: ids, unless a column is named. */
  #addFile(element: FileElement, members: Uint8Array, wanted: Wanted): void {
    if (!this.#readIds) throw this.#error(element, "a selector without a file");
    const column = element.column ?? "id";
    const found = this.#columnOf(column);
    if (!found) throw this.#noColumn(element, column, null);
    const byText = found === "indices" ? null : numbersOf(found);
    for (const { id, line } of this.#readIds(element.file)) {
      const refuse = (expected: string): ArgumentError =>
        new ArgumentError(`${element.file}:${line}`, this.#place.argument, expected, quoteText(id));
      if (found === "indices") {
        const range = this.#rangeOf(column, id);
        if (typeof range === "string") throw refuse(column === "id" ? `an id from 0 to ${members.length - 1}` : range);
        members.fill(1, ...range);
        continue;
      }
      const numbers = byText!.get(id);
      if (!numbers) {
        throw refuse(
          column === "id" ? "the id of a neuron of the network" : this.#valueExpected(column, id, byText!, null),
        );
      }
      wanted.add(found, numbers);
    }
  }

  /** @param word  where no column was named, what could be a word of another kind */
  #noColumn(span: Span, column: string, word: string | null): ArgumentError {
    const names = ["index", "id", ...this.#neurons.columns.keys()];
    const known = [...new Set(names)].map((name) => quoteText(name, 40)).join(", ");
    if (word !== null && column === "type") {
      const near = nearestName(word, this.#keywords());
      const hint = near === null ? "" : `${quoteText(near)}? `;
      return this.#error(span, `${hint}all, a role, indices, or a value of a column that the neurons have (${known})`);
    }
    const near = nearestName(column, names);
    const hint = near === null ? "" : `${quoteText(near)}? `;
    return this.#error(span, `${hint}a column that the neurons have (${known})`, quoteText(column));
  }

  #valueExpected(
    column: string,
    word: string,
    known: ReadonlyMap<string, unknown>,
    element: ValueElement | null,
  ): string {
    const names = element?.column === null ? [...known.keys(), ...this.#keywords()] : known.keys();
    const near = nearestName(word, names);
    const few = [...known.keys()].slice(0, 5).map((value) => quoteText(value, 40));
    const examples =
      near !== null ? `nearest ${quoteText(near)}` : `${few.join(", ")}${known.size > few.length ? ", …" : ""}`;
    const otherwise = element?.continues
      ? `, or "type=${this.#text.slice(element.begin, element.end)}" for a type, or another column`
      : "";
    return `a ${column} that a neuron has (${examples})${otherwise}`;
  }

  #keywords(): readonly string[] {
    return [...KEYWORDS, ...(this.#place.words ?? [])];
  }

  #error(span: Span, expected: string, got: string = this.#quote(span)): ArgumentError {
    const { where, argument } = this.#place;
    const place = `at character ${span.begin + 1} of ${quoteText(this.#text, 200)}`;
    return new ArgumentError(where, argument, expected, `${got} ${place}`);
  }

  #quote({ begin, end }: Span): string {
    return quoteText(this.#text.slice(begin, end), 80);
  }
}

/** Whether a pattern asks only if there is a value: "*" any, "" none. */
function isPresence(pattern: Pattern): boolean {
  return pattern.every((literal) => literal === "");
}

/** Whether a text consists of the literals of a pattern, in their order, with any text between them. */
function matches(pattern: Pattern, text: string): boolean {
  const [first, last] = [pattern[0]!, pattern.at(-1)!];
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
  const end = text.length - last.length;
  let at = first.length;
  for (const literal of pattern.slice(1, -1)) {
    const found = text.indexOf(literal, at);
    if (found < 0 || found + literal.length > end) return false;
    at = found + literal.length;
  }
  return true;
}
