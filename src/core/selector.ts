// Selectors: texts that name sets of neurons by the columns of a neuron table, like "type:T4*,T5* & side:left".
//
//     union        = intersection { "|" intersection }
//     intersection = factor { "&" factor }
//     factor       = { "!" } ( list | "(" union ")" )
//     list         = element { "," element }
//     element      = [ name ":" ] word | "@" word
//     word         = characters other than spaces and & | , ! ( ) : @ ", any character in double quotes ("" is a quote); * outside of
//                    quotes stands for any text

import { ArgumentError, nearestName } from "./errors.ts";
import { plural, quoteText } from "./text.ts";

/** A property of neurons: its distinct values as text, and each neuron's. */
export interface NeuronColumn {
  readonly values: readonly string[];
  /** [count], index into `values`. */
  readonly valueIdx: ArrayLike<number>;
}

/** Neurons and their properties, by name. */
export interface NeuronColumns {
  readonly count: number;
  readonly columns: ReadonlyMap<string, NeuronColumn>;
}

/** Whose argument a selector is, for messages. */
export interface SelectorPlace {
  readonly where: string;
  readonly argument: string;
}

/** The ids in a file, each with its line. */
export type IdReader = (file: string) => readonly { readonly id: string; readonly line: number }[];

/** Literal texts with any text between them: "T4*" is ["T4", ""]. */
type Pattern = readonly string[];

/** A part of the text; `end` is behind its last character. */
interface Span {
  readonly begin: number;
  readonly end: number;
}

type Element = Span &
  (
    | { readonly kind: "value"; readonly column: string | null; readonly pattern: Pattern; readonly quoted: boolean }
    | { readonly kind: "file"; readonly file: string }
  );

type Node = Span &
  (
    | { readonly kind: "list"; readonly elements: readonly Element[] }
    | { readonly kind: "not"; readonly of: Node }
    | { readonly kind: "and" | "or"; readonly parts: readonly Node[] }
  );

/** A selector that has been parsed. */
export interface Selector {
  readonly text: string;
  readonly root: Node;
}

/** Limits that keep the work of any text small. */
const LONGEST = 2 ** 16;
const MOST_TERMS = 1000;
const MOST_WILDCARDS = 1000;
const DEEPEST = 100;
/** More names are not searched for a similar one. */
const HINT_NAMES = 20_000;

const ROLES: readonly string[] = ["input", "hidden", "output"];
const KEYWORDS: readonly string[] = ["all", ...ROLES];
const INDEX = /^(\d{1,15})(?:-(\d{1,15}))?$/;
const SPACE = /\s/;
const SPECIAL = new Set('&|,!():@"');

/**
 * Parses a selector.
 * @throws {ArgumentError} naming the place in the text and what may stand there
 */
export function parseSelector(text: string, place: SelectorPlace): Selector {
  return { text, root: new Parser(text, place).parse() };
}

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
  const evaluation = new Evaluation(text, neurons, place, readIds);
  const chosen = evaluation.members(root);
  const size = sizeOf(chosen);
  if (size === 0) {
    throw new ArgumentError(place.where, place.argument, "at least one neuron", `none: ${evaluation.whyEmpty(root)}`);
  }
  const indices = new Uint32Array(size);
  let next = 0;
  chosen.forEach((isIn, i) => {
    if (isIn) indices[next++] = i;
  });
  return indices;
}

/** Text that a selector takes literally. */
export function selectorWord(text: string): string {
  const isPlain = text !== "" && !SPACE.test(text) && ![...text].some((c) => SPECIAL.has(c) || c === "*");
  return isPlain ? text : `"${text.replaceAll('"', '""')}"`;
}

function sizeOf(members: Uint8Array): number {
  let size = 0;
  for (const isIn of members) size += isIn;
  return size;
}

class Parser {
  readonly #text: string;
  readonly #place: SelectorPlace;
  #at = 0;
  #depth = 0;
  #terms = 0;
  #wildcards = 0;

  constructor(text: string, place: SelectorPlace) {
    this.#text = text;
    this.#place = place;
  }

  parse(): Node {
    const { length } = this.#text;
    if (length > LONGEST) {
      const expected = `at most ${LONGEST} characters (a file of ids, @FILE, may have more)`;
      throw new ArgumentError(this.#place.where, this.#place.argument, expected, `${length}`);
    }
    const root = this.#union();
    if (this.#at < length) throw this.#error("an operator (& | ,) or the end");
    return root;
  }

  #union(): Node {
    return this.#joined("|", "or", () => this.#joined("&", "and", () => this.#factor()));
  }

  /** Parts joined by an operator; a single one is itself. */
  #joined(operator: string, kind: "and" | "or", part: () => Node): Node {
    const parts = [part()];
    while (this.#take(operator)) parts.push(part());
    if (parts.length === 1) return parts[0]!;
    return { kind, parts, begin: parts[0]!.begin, end: parts.at(-1)!.end };
  }

  #factor(): Node {
    this.#skipSpaces();
    const begin = this.#at;
    let negations = 0;
    while (this.#take("!")) negations++;
    const of = this.#take("(") ? this.#group() : this.#list();
    // Two negations are none.
    return negations % 2 === 0 ? of : { kind: "not", of, begin, end: of.end };
  }

  #group(): Node {
    const begin = this.#at - 1;
    if (++this.#depth > DEEPEST) throw this.#error(`at most ${DEEPEST} parentheses in one another`, begin);
    const inner = this.#union();
    if (!this.#take(")")) throw this.#error(`an operator (& | ,) or the ")" of the "(" at character ${begin + 1}`);
    this.#depth--;
    return { ...inner, begin, end: this.#at };
  }

  #list(): Node {
    const elements = [this.#element(null)];
    while (this.#take(",")) {
      const last = elements.at(-1)!;
      elements.push(this.#element(last.kind === "value" ? last.column : null));
    }
    if (++this.#terms > MOST_TERMS) {
      throw this.#error(`at most ${MOST_TERMS} terms (a list with commas is one)`, elements[0]!.begin);
    }
    return { kind: "list", elements, begin: elements[0]!.begin, end: elements.at(-1)!.end };
  }

  /** @param inherited  column of the element before, which holds for the next ones of its list, too */
  #element(inherited: string | null): Element {
    this.#skipSpaces();
    const begin = this.#at;
    if (this.#take("@")) {
      const { raw, end } = this.#word("the name of a file");
      return { kind: "file", file: raw, begin, end };
    }
    const first = this.#word('a selector, such as all, input, type:T4*, index:0-99, @FILE, "(" or "!"');
    if (!this.#take(":")) return this.#value(inherited, first, begin);
    return this.#value(first.raw, this.#word(`a value of ${quoteText(first.raw)} ("" for none)`), begin);
  }

  #value(column: string | null, { pattern, quoted, end }: Word, begin: number): Element {
    if (pattern.length > 1 && ++this.#wildcards > MOST_WILDCARDS) {
      throw this.#error(`at most ${MOST_WILDCARDS} words with wildcards`, begin);
    }
    return { kind: "value", column, pattern, quoted, begin, end };
  }

  #word(expected: string): Word {
    this.#skipSpaces();
    const begin = this.#at;
    const pattern = [""];
    let [raw, quoted] = ["", false];
    const add = (text: string): void => {
      pattern[pattern.length - 1] += text;
      raw += text;
    };
    for (let c = this.#text[this.#at]; c !== undefined; c = this.#text[this.#at]) {
      if (c === '"') {
        quoted = true;
        add(this.#quoted());
      } else if (SPACE.test(c) || SPECIAL.has(c)) break;
      else {
        this.#at++;
        if (c === "*") {
          raw += c;
          pattern.push("");
        } else add(c);
      }
    }
    if (this.#at === begin) throw this.#error(expected);
    return { pattern, raw, quoted, end: this.#at };
  }

  /** The text in the quotes that begin here. */
  #quoted(): string {
    const begin = this.#at;
    for (let end = begin + 1; ; end += 2) {
      end = this.#text.indexOf('"', end);
      if (end < 0) throw this.#error("a quote at its end", begin);
      if (this.#text[end + 1] === '"') continue;
      this.#at = end + 1;
      return this.#text.slice(begin + 1, end).replaceAll('""', '"');
    }
  }

  #take(character: string): boolean {
    this.#skipSpaces();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #skipSpaces(): void {
    while (this.#at < this.#text.length && SPACE.test(this.#text[this.#at]!)) this.#at++;
  }

  #error(expected: string, at: number = this.#at): ArgumentError {
    const rest = this.#text.slice(at);
    const got = rest === "" ? "the end" : quoteText(rest, 40);
    const { where, argument } = this.#place;
    return new ArgumentError(
      where,
      argument,
      `${expected} at character ${at + 1} of ${quoteText(this.#text, 200)}`,
      got,
    );
  }
}

interface Word {
  readonly pattern: Pattern;
  /** The characters, without quotes. */
  readonly raw: string;
  readonly quoted: boolean;
  readonly end: number;
}

/** Which values of a column neurons have. */
interface ColumnFacts {
  /** Numbers of the values by text: those that neurons have. */
  readonly byText: ReadonlyMap<string, readonly number[]>;
}

const factsOfColumns = new WeakMap<NeuronColumn, ColumnFacts>();

function factsOf(column: NeuronColumn): ColumnFacts {
  const known = factsOfColumns.get(column);
  if (known) return known;
  const { values, valueIdx } = column;
  const used = new Uint8Array(values.length);
  for (let i = 0; i < valueIdx.length; i++) used[valueIdx[i]!] = 1;
  const byText = new Map<string, number[]>();
  values.forEach((text, v) => {
    if (!used[v]) return;
    const known = byText.get(text);
    if (known) known.push(v);
    else byText.set(text, [v]);
  });
  const facts = { byText };
  factsOfColumns.set(column, facts);
  return facts;
}

class Evaluation {
  readonly #text: string;
  readonly #neurons: NeuronColumns;
  readonly #place: SelectorPlace;
  readonly #readIds: IdReader | null;

  constructor(text: string, neurons: NeuronColumns, place: SelectorPlace, readIds: IdReader | null) {
    this.#text = text;
    this.#neurons = neurons;
    this.#place = place;
    this.#readIds = readIds;
  }

  /** [count], 1 for the neurons of a part. */
  members(node: Node): Uint8Array {
    switch (node.kind) {
      case "list":
        return this.#listed(node.elements);
      case "not":
        return this.members(node.of).map((isIn) => 1 - isIn);
      default: {
        const [first, ...others] = node.parts;
        const members = this.members(first!);
        const isAnd = node.kind === "and";
        for (const part of others) {
          const more = this.members(part);
          for (let i = 0; i < members.length; i++) {
            members[i] = isAnd ? members[i]! & more[i]! : members[i]! | more[i]!;
          }
        }
        return members;
      }
    }
  }

  /** Why a part without neurons has none. */
  whyEmpty(node: Node): string {
    switch (node.kind) {
      case "list":
        return `${this.#quote(node)} is empty`;
      case "not":
        return `all ${plural(this.#neurons.count, "neuron")} are in ${this.#quote(node.of)}`;
      case "or":
        return node.parts.map((part) => this.whyEmpty(part))[0]!;
      case "and":
        return this.#whyDisjoint(node.parts);
    }
  }

  #whyDisjoint(parts: readonly Node[]): string {
    const sets = parts.map((part) => this.members(part));
    const empty = sets.findIndex((set) => sizeOf(set) === 0);
    if (empty >= 0) return this.whyEmpty(parts[empty]!);
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

  #listed(elements: readonly Element[]): Uint8Array {
    const members = new Uint8Array(this.#neurons.count);
    // All elements of a column together: neurons are visited once per column, whatever the length of the list.
    const wanted = new Map<NeuronColumn, Uint8Array>();
    const flags = (column: NeuronColumn): Uint8Array => {
      const known = wanted.get(column) ?? new Uint8Array(column.values.length);
      wanted.set(column, known);
      return known;
    };
    for (const element of elements) {
      if (element.kind === "file") this.#mark(element, members, flags);
      else this.#match(element, members, flags);
    }
    for (const [{ valueIdx }, chosen] of wanted) {
      for (let i = 0; i < members.length; i++) members[i]! |= chosen[valueIdx[i]!]!;
    }
    return members;
  }

  #match(element: Element & { kind: "value" }, members: Uint8Array, flags: (column: NeuronColumn) => Uint8Array): void {
    const { pattern, quoted } = element;
    const word = pattern.join("*");
    const isExact = pattern.length === 1;
    let { column } = element;
    if (column === null && !quoted) {
      if (word === "all" || word === "*") {
        members.fill(1);
        return;
      }
      if (isExact && INDEX.test(word)) column = "index";
      else if (ROLES.includes(word)) column = "role";
    }
    column ??= "type";
    const found = this.#neurons.columns.get(column);
    if (column === "index" || (column === "id" && !found)) {
      this.#markIndices(element, isExact ? word : "", column, members);
      return;
    }
    if (!found) throw this.#noColumn(element, column);
    const { byText } = factsOf(found);
    const chosen = flags(found);
    const numbers = isExact
      ? (byText.get(word) ?? [])
      : [...byText].filter(([text]) => matches(pattern, text)).flatMap(([, all]) => all);
    if (numbers.length === 0) throw this.#noValue(element, column, word, byText);
    for (const v of numbers) chosen[v] = 1;
  }

  #markIndices(span: Span, word: string, column: string, members: Uint8Array): void {
    const { count } = this.#neurons;
    const [, first, last = first] = (column === "index" ? INDEX : /^(\d{1,15})$/).exec(word) ?? [];
    const [from, to] = [Number(first), Number(last)];
    if (!(from <= to && to < count)) {
      const expected = column === "index" ? "an index or a range of indices" : "an id, which is an index here,";
      throw this.#error(span, `${expected} from 0 to ${count - 1}`);
    }
    members.fill(1, from, to + 1);
  }

  /** The neurons whose ids a file has. */
  #mark(element: Element & { kind: "file" }, members: Uint8Array, flags: (column: NeuronColumn) => Uint8Array): void {
    if (!this.#readIds) throw this.#error(element, "a selector without a file");
    const found = this.#neurons.columns.get("id");
    const place = (line: number) => ({ where: `${element.file}:${line}`, argument: this.#place.argument });
    for (const { id, line } of this.#readIds(element.file)) {
      const numbers = found ? (factsOf(found).byText.get(id) ?? []) : [];
      if (found && numbers.length > 0) {
        const chosen = flags(found);
        for (const v of numbers) chosen[v] = 1;
      } else {
        const index = !found && /^\d{1,15}$/.test(id) ? Number(id) : Number.NaN;
        if (!(index < members.length)) {
          const expected = found ? "the id of a neuron of the network" : `an id from 0 to ${members.length - 1}`;
          throw new ArgumentError(place(line).where, place(line).argument, expected, quoteText(id));
        }
        members[index] = 1;
      }
    }
  }

  #noColumn(element: Element & { kind: "value" }, column: string): ArgumentError {
    const names = ["index", "id", ...this.#neurons.columns.keys()];
    const known = [...new Set(names)].map((name) => quoteText(name, 40)).join(", ");
    const near = nearestName(column, names);
    if (element.column === null && column === "type") {
      const word = nearestName(element.pattern.join("*"), KEYWORDS);
      const hint = word === null ? "" : `${quoteText(word)}? `;
      return this.#error(
        element,
        `${hint}all, a role, indices, or a value of a column that the neurons have (${known})`,
      );
    }
    const hint = near === null ? "" : `${quoteText(near)}? `;
    return this.#error(element, `${hint}a column that the neurons have (${known})`, quoteText(column));
  }

  #noValue(
    element: Element & { kind: "value" },
    column: string,
    word: string,
    known: ReadonlyMap<string, unknown>,
  ): ArgumentError {
    const candidates = [...known.keys(), ...(element.column === null ? KEYWORDS : [])];
    const near = known.size > HINT_NAMES ? null : nearestName(word, candidates);
    const few = [...known.keys()].slice(0, 5).map((value) => quoteText(value, 40));
    const examples = near !== null ? quoteText(near) : `${few.join(", ")}${known.size > few.length ? ", …" : ""}`;
    return this.#error(element, `a ${column} that a neuron has (${near !== null ? "nearest " : ""}${examples})`);
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
