// Selectors: texts that name sets of neurons by the columns of a neuron table, like "superclass=descending & side=L". This file has the
// language; `selectorSets.ts` finds the neurons.
//
//     union        = intersection { "|" intersection }
//     intersection = factor { "&" factor }
//     factor       = { "!" } ( list | "(" union ")" | graph )
//     list         = element { ( "," element | "|" bare ) }
//     element      = [ name relation ] ( word | "@" word ) | "@" word
//     relation     = "=" | ":" | "!="
//     graph        = ( "within" | "upstream" | "downstream" ) "(" number "," union ")" | "largest" "(" ( "weak" | "strong" ) ")"
//     word         = characters other than spaces and & | , ! ( ) : = @ ", any character in double quotes ("" is a quote); * outside of
//                    quotes stands for any text
//
// Commas bind tightest, then "!", "&", "|". "=" and ":" mean the same. A column holds for the words behind commas until another one is named.
// "name!=list" is !(name=list), and all of its list belongs to the one column.
//
// A bare word is a word without a column that is neither `all` nor a role nor an index. Behind "|" it is a value of the column that was named
// before it: "type=T4a|T4b" is "type=T4a,T4b". Without a named column before it, or with a word that is not bare, "|" is a union: "T4a | 0-9".
// Where "&" or "!" stands beside values with "|", they need parentheses: "side=L|R & type=T4a" is refused, as it could be read in two ways.

import { ArgumentError, nearestName } from "./errors.ts";
import { quoteText } from "./text.ts";

/** A property of neurons: its distinct values as text, and each neuron's. */
export interface NeuronColumn {
  readonly values: readonly string[];
  /** [count], index into `values`. */
  readonly valueIdx: ArrayLike<number>;
}

/** Which way connections are followed: against them, along them, or each of the two. */
export type GraphDirection = "upstream" | "downstream" | "within";

/** What selectors ask of the connections between neurons. Results are [count], 1 for the neurons in a set. */
export interface NeuronGraph {
  /**
   * Neurons from which (upstream) it takes at most `steps` connections to a neuron of `seeds`, or to which from one (downstream), or in one of
   * these sets (within).
   */
  reach(seeds: Uint32Array, steps: number, direction: GraphDirection): Uint8Array;
  /** The component with most neurons; of equal ones that of the first neuron. */
  largestComponent(kind: "weak" | "strong"): Uint8Array;
}

/** Neurons and their properties, by name. */
export interface NeuronColumns {
  readonly count: number;
  readonly columns: ReadonlyMap<string, NeuronColumn>;
  /** null or left out: the connections are not known. */
  readonly graph?: NeuronGraph | null;
}

/** Whose argument a selector is, for messages. */
export interface SelectorPlace {
  readonly where: string;
  readonly argument: string;
  /** Other values that the argument takes, for hints. */
  readonly words?: readonly string[];
}

/** The ids in a file, or other values of a column, each with its line. */
export type IdReader = (file: string) => readonly { readonly id: string; readonly line: number }[];

/** Literal texts with any text between them: "T4*" is ["T4", ""]. */
export type Pattern = readonly string[];

/** A part of the text; `end` is behind its last character. */
export interface Span {
  readonly begin: number;
  readonly end: number;
}

/** A word of a list. */
export interface ValueElement extends Span {
  readonly kind: "value";
  /** null: none was named. */
  readonly column: string | null;
  readonly pattern: Pattern;
  readonly quoted: boolean;
  /** A bare word behind "|", to which the column of the word before it applies. */
  readonly continues: boolean;
  /** The column that was named before a "|" in front of this word, which is not bare; null: none. */
  readonly after: string | null;
}

/** The words in a file. */
export interface FileElement extends Span {
  readonly kind: "file";
  /** null: none was named; the words are ids. */
  readonly column: string | null;
  readonly file: string;
}

export type SelectorElement = ValueElement | FileElement;

/** A part of a selector. `bar`: the place of the first "|" between values, outside of parentheses. */
export type SelectorNode = Span & { readonly bar?: number | undefined } & (
    | { readonly kind: "list"; readonly elements: readonly SelectorElement[] }
    | { readonly kind: "not"; readonly of: SelectorNode }
    | { readonly kind: "and" | "or"; readonly parts: readonly SelectorNode[] }
    | {
        readonly kind: "reach";
        readonly direction: GraphDirection;
        readonly steps: number;
        readonly of: SelectorNode;
      }
    | { readonly kind: "largest"; readonly component: "weak" | "strong" }
  );

/** A selector that has been parsed. */
export interface Selector {
  readonly text: string;
  readonly root: SelectorNode;
}

/** Limits that keep the work of any text small. */
const LONGEST = 2 ** 16;
const MOST_TERMS = 1000;
const MOST_WILDCARDS = 1000;
const MOST_GRAPH_TERMS = 32;
const DEEPEST = 100;

export const ROLES: readonly string[] = ["input", "hidden", "output"];
export const KEYWORDS: readonly string[] = ["all", ...ROLES];
/** An index, or a range of them. */
export const INDEX: RegExp = /^(\d{1,15})(?:-(\d{1,15}))?$/;
const STEPS = /^\d{1,9}$/;
const GRAPH_TERMS: readonly string[] = ["within", "upstream", "downstream", "largest"];
const COMPONENTS: readonly string[] = ["weak", "strong"];
const SPACE = /\s/;
const SPECIAL = new Set('&|,!():=@"');
/** A name right in front of parentheses. */
const CALL = /([^\s&|,!():=@"*]+)\s*\(/y;

/**
 * Parses a selector.
 * @throws {ArgumentError} naming the place in the text and what may stand there
 */
export function parseSelector(text: string, place: SelectorPlace): Selector {
  return { text, root: new Parser(text, place).parse() };
}

/** The files that a selector names, as @FILE, each once. */
export function filesOfSelector({ root }: Selector): readonly string[] {
  const files = new Set<string>();
  const visit = (node: SelectorNode): void => {
    if (node.kind === "list") {
      for (const element of node.elements) if (element.kind === "file") files.add(element.file);
    }
    if ("parts" in node) node.parts.forEach(visit);
    if ("of" in node) visit(node.of);
  };
  visit(root);
  return [...files];
}

/** Text that a selector takes literally. */
export function selectorWord(text: string): string {
  const isPlain = text !== "" && !SPACE.test(text) && ![...text].some((c) => SPECIAL.has(c) || c === "*");
  return isPlain ? text : `"${text.replaceAll('"', '""')}"`;
}

class Parser {
  readonly #text: string;
  readonly #place: SelectorPlace;
  #at = 0;
  #depth = 0;
  #terms = 0;
  #wildcards = 0;
  #graphTerms = 0;
  /** The column named before the "|" that was read last, whose next word is not bare. */
  #after: string | null = null;

  constructor(text: string, place: SelectorPlace) {
    this.#text = text;
    this.#place = place;
  }

  parse(): SelectorNode {
    const { length } = this.#text;
    if (length > LONGEST) {
      const expected = `at most ${LONGEST} characters (a file of ids, @FILE, may have more)`;
      throw new ArgumentError(this.#place.where, this.#place.argument, expected, `${length}`);
    }
    const root = this.#union();
    if (this.#at < length) throw this.#error("an operator (& | ,) or the end");
    return root;
  }

  #union(): SelectorNode {
    return this.#joined("|", "or", () => this.#intersection());
  }

  #intersection(): SelectorNode {
    const node = this.#joined("&", "and", () => this.#factor());
    if (node.kind === "and") for (const part of node.parts) this.#checkBar(part);
    return node;
  }

  /** Parts joined by an operator; a single one is itself. */
  #joined(operator: string, kind: "and" | "or", part: () => SelectorNode): SelectorNode {
    const parts = [part()];
    while (this.#take(operator)) parts.push(part());
    if (parts.length === 1) return parts[0]!;
    return { kind, parts, begin: parts[0]!.begin, end: parts.at(-1)!.end };
  }

  #factor(): SelectorNode {
    this.#skipSpaces();
    const begin = this.#at;
    let negations = 0;
    while (this.#take("!")) negations++;
    const of = this.#take("(") ? this.#group() : (this.#graphTerm() ?? this.#list());
    if (negations > 0) this.#checkBar(of);
    // Two negations are none.
    return negations % 2 === 0 ? of : { kind: "not", of, begin, end: of.end };
  }

  /** "side=L|R" beside & or ! could be (side=L|R) or, as & and ! bind tighter, side=L | side=R. */
  #checkBar({ begin, end, bar }: SelectorNode): void {
    if (bar === undefined) return;
    const [left, right] = [this.#text.slice(begin, bar).trimEnd(), this.#text.slice(bar + 1, end).trimStart()];
    const column = left.slice(0, left.search(/!=|[:=]/)).trimEnd();
    const expected = `parentheses beside & and !, as in "(${left}|${right})", or "${left} | ${column}=${right}"`;
    throw this.#error(expected, begin, end);
  }

  #group(): SelectorNode {
    const begin = this.#at - 1;
    const inner = this.#nested(begin, () => this.#union());
    return { ...inner, bar: undefined, begin, end: this.#at };
  }

  /** What stands in the parentheses that began at `begin`. */
  #nested<T>(begin: number, parse: () => T, operators = "an operator (& | ,) or "): T {
    if (++this.#depth > DEEPEST) throw this.#error(`at most ${DEEPEST} parentheses in one another`, begin);
    const inner = parse();
    if (!this.#take(")")) throw this.#error(`${operators}the ")" to the "(" of character ${begin + 1},`);
    this.#depth--;
    return inner;
  }

  /** null: no name of a graph term stands here in front of parentheses. */
  #graphTerm(): SelectorNode | null {
    this.#skipSpaces();
    const begin = this.#at;
    CALL.lastIndex = begin;
    const name = CALL.exec(this.#text)?.[1];
    if (name === undefined) return null;
    if (!GRAPH_TERMS.includes(name)) {
      const near = nearestName(name, GRAPH_TERMS);
      const hint = near === null ? "" : `${quoteText(near)}? `;
      throw this.#error(`${hint}${GRAPH_TERMS.join(", ")}, or an operator (& | ,) in front of "("`, begin);
    }
    if (++this.#graphTerms > MOST_GRAPH_TERMS) {
      throw this.#error(`at most ${MOST_GRAPH_TERMS} terms about connections`, begin);
    }
    this.#at = CALL.lastIndex;
    const parentheses = this.#at - 1;
    if (name === "largest") {
      const component = this.#nested(parentheses, () => this.#oneOf(COMPONENTS), "") as "weak" | "strong";
      return { kind: "largest", component, begin, end: this.#at };
    }
    const { steps, of } = this.#nested(parentheses, () => this.#reach(name));
    return { kind: "reach", direction: name as GraphDirection, steps, of, begin, end: this.#at };
  }

  #reach(name: string): { readonly steps: number; readonly of: SelectorNode } {
    const expected = `a number of connections and a selector, as in ${name}(2, type=DNa02)`;
    this.#skipSpaces();
    const at = this.#at;
    const { raw } = this.#word(expected);
    if (!STEPS.test(raw)) throw this.#error(expected, at);
    if (!this.#take(",")) throw this.#error(`a comma and a selector, as in ${name}(2, type=DNa02)`);
    return { steps: Number(raw), of: this.#union() };
  }

  #oneOf(words: readonly string[]): string {
    this.#skipSpaces();
    const at = this.#at;
    const { raw } = this.#word(words.join(" or "));
    if (!words.includes(raw)) throw this.#error(words.join(" or "), at);
    return raw;
  }

  #list(): SelectorNode {
    this.#skipSpaces();
    const begin = this.#at;
    const { element, isNot } = this.#element(null);
    const elements = [element];
    let bar: number | undefined;
    for (;;) {
      const { column } = elements.at(-1)!;
      if (this.#take(",")) {
        elements.push(isNot ? this.#sameColumn(element.column!) : this.#element(column, false).element);
        continue;
      }
      const at = this.#at;
      const next = column === null ? null : this.#alternative(column);
      if (next === null) break;
      bar ??= at;
      elements.push(next);
    }
    if (++this.#terms > MOST_TERMS) {
      throw this.#error(`at most ${MOST_TERMS} terms (a list with commas is one)`, begin);
    }
    const { end } = elements.at(-1)!;
    const list: SelectorNode = { kind: "list", elements, begin, end, bar };
    return isNot ? { kind: "not", of: list, begin, end, bar } : list;
  }

  /**
   * @param inherited  column of the element before, which holds for the next ones of its list, too
   * @param isFirst    of a list; others cannot have "!="
   */
  #element(inherited: string | null, isFirst = true): { readonly element: SelectorElement; readonly isNot: boolean } {
    const after = this.#after;
    this.#after = null;
    this.#skipSpaces();
    const begin = this.#at;
    if (this.#take("@")) return { element: this.#file(null, begin), isNot: false };
    const first = this.#word('a selector, such as all, input, type=T4*, index=0-99, @FILE, "(" or "!"');
    const isNot = this.#takeText("!=");
    if (isNot && !isFirst) throw this.#error('"=", as != begins a list: a & b!=c', begin);
    if (!isNot && !this.#take("=") && !this.#take(":")) {
      return { element: this.#value(inherited, first, begin, { after }), isNot };
    }
    const column = first.raw;
    if (this.#take("@")) return { element: this.#file(column, begin), isNot };
    const word = this.#word(`a value of ${quoteText(column)} ("" for none, * for any)`);
    return { element: this.#value(column, word, begin), isNot };
  }

  /** An element behind a comma in a list with "!=". */
  #sameColumn(column: string): SelectorElement {
    const { element, isNot } = this.#element(column, false);
    const isOwn = element.kind === "value" ? element.column === column : column === "id" && element.column === null;
    if (isNot || !isOwn) {
      throw this.#error(`another value of ${quoteText(column)}, as != holds for one column`, element.begin);
    }
    return element;
  }

  #file(column: string | null, begin: number): FileElement {
    const { raw, end } = this.#word("the name of a file");
    return { kind: "file", column, file: raw, begin, end };
  }

  /** A bare word behind "|", which is a value of the column before it; null: something else stands there, and nothing was taken. */
  #alternative(column: string): SelectorElement | null {
    const start = this.#at;
    if (!this.#take("|")) return null;
    this.#skipSpaces();
    const begin = this.#at;
    const c = this.#text[begin];
    if (c !== undefined && (c === '"' || !SPECIAL.has(c))) {
      const word = this.#word("a value");
      this.#skipSpaces();
      const isAlone = !/[:=(]|!=/y.test(this.#text.slice(this.#at, this.#at + 2));
      const isBare = word.quoted || word.pattern.length > 1 || isOwnWord(column, word.raw) || !isReserved(word.raw);
      if (isAlone && isBare) return this.#value(column, word, begin, { continues: true });
      if (isAlone) this.#after = column;
    }
    this.#at = start;
    return null;
  }

  #value(
    column: string | null,
    { pattern, quoted, end }: Word,
    begin: number,
    { continues = false, after = null }: Partial<Pick<ValueElement, "continues" | "after">> = {},
  ): ValueElement {
    if (pattern.length > 1 && ++this.#wildcards > MOST_WILDCARDS) {
      throw this.#error(`at most ${MOST_WILDCARDS} words with wildcards`, begin);
    }
    return { kind: "value", column, pattern, quoted, continues, after, begin, end };
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

  #takeText(text: string): boolean {
    this.#skipSpaces();
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #skipSpaces(): void {
    while (this.#at < this.#text.length && SPACE.test(this.#text[this.#at]!)) this.#at++;
  }

  #error(expected: string, at: number = this.#at, end: number = this.#text.length): ArgumentError {
    const rest = this.#text.slice(at, end);
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

/** Words that mean something else than a value where no column is named. */
function isReserved(word: string): boolean {
  return KEYWORDS.includes(word) || INDEX.test(word);
}

/** Whether a reserved word is what the column has anyway. */
function isOwnWord(column: string, word: string): boolean {
  return (column === "role" && ROLES.includes(word)) || (column === "index" && INDEX.test(word));
}
