// YAML files, and JSON as a subset: plain data, with the line of each key. Length, depth and expansion of aliases are bounded before any value is
// made.

import {
  type Alias,
  CST,
  type Document,
  isAlias,
  isCollection,
  isMap,
  isPair,
  isScalar,
  LineCounter,
  type Node,
  Parser,
  parseDocument,
  stringify,
} from "yaml";
import { FileFormatError } from "../core/errors.ts";
import { isObject } from "../core/plainObject.ts";
import { jsonText, quoteText, quoteValue } from "../core/text.ts";
import { readTextFile } from "../io/textFile.ts";

/** The key by which editors find the schema. */
export const SCHEMA_KEY = "$schema";

/** Lists and maps within each other. */
const MOST_LEVELS = 50;
/** Keys of one map. */
const MOST_KEYS = 1000;
const MOST_ALIASES = 1000;
/** Limit of values in a file, counted again for each alias that repeats them. */
const MOST_VALUES = 200_000;

/** Characters that YAML excludes (YAML 1.2.2, §5.1), such as NUL and ESC. */
const UNPRINTABLE = /[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

export interface YamlFile {
  readonly file: string;
  /** Without the key of the schema. */
  readonly data: Readonly<Record<string, unknown>>;
  /** `file:line` of the key at a path, or of its nearest parent in the file. */
  where(path: readonly string[]): string;
}

/** An error at an offset of the file. */
type Fail = (offset: number, expected: string, got: string) => FileFormatError;

/**
 * Reads a file of keys with values.
 *
 * @param kind  the expected file, for error messages
 * @throws {FileFormatError} missing, longer than 1 MiB, not UTF-8, neither YAML nor JSON, nested too deep, tags, duplicate keys, aliases that
 *   are unknown, circular or too large; with the line
 */
export async function readYaml(file: string, kind: string): Promise<YamlFile> {
  const lines = new LineCounter();
  const fail: Fail = (offset, expected, got) =>
    new FileFormatError(`${file}:${lines.linePos(offset).line}`, expected, got);
  const text = await readTextFile(file, kind);
  const document = parsed(text, lines, fail);
  checkNodes(document, fail);
  const content: unknown = document.contents === null ? {} : document.toJS({ maxAliasCount: -1 });
  if (!isObject(content)) throw new FileFormatError(file, "keys with values", quoteValue(content));
  const { [SCHEMA_KEY]: _, ...data } = content;
  const where = (path: readonly string[]): string => {
    if (path.length === 0) return file;
    const map = path.length > 1 ? document.getIn(path.slice(0, -1), true) : document.contents;
    const pair = isMap(map) ? map.items.find((item) => String(item.key) === path.at(-1)) : undefined;
    const offset = (pair?.key as Node | undefined)?.range?.[0];
    return offset === undefined ? where(path.slice(0, -1)) : `${file}:${lines.linePos(offset).line}`;
  };
  return { file, data, where };
}

/** Data as YAML, for `readYaml`; as JSON if they contain a character that `stringify` should escape and does not. */
export function yamlText(data: Readonly<Record<string, unknown>>, version: "1.1" | "1.2" = "1.2"): string {
  const text = stringify(data, { version });
  return UNPRINTABLE.test(text) ? `${jsonText(data, 2)}\n` : text;
}

function parsed(text: string, lines: LineCounter, fail: Fail): Document {
  for (const token of new Parser(lines.addNewLine).parse(text)) checkTokens(token, fail);
  const control = UNPRINTABLE.exec(text);
  if (control) throw fail(control.index, "printable text", quoteText(control[0]));
  // The message has its line already.
  const document = parseDocument(text, { prettyErrors: false });
  // An unknown tag is only a warning of the parser, and it changes the value.
  const [error] = [...document.errors, ...document.warnings];
  if (error?.code === "MULTIPLE_DOCS") throw fail(error.pos[0], "one document", "several");
  if (error) throw fail(error.pos[0], "YAML or JSON", error.message);
  return document;
}

/** The parser has its own stack, but everything after it recurses, or compares all keys of a map in pairs. */
function checkTokens(top: CST.Token, fail: Fail): void {
  let aliases = 0;
  const rest: [token: CST.Token, level: number][] = [[top, 0]];
  for (let next = rest.pop(); next; next = rest.pop()) {
    const [token, level] = next;
    if (token.type === "document") {
      if (token.value) rest.push([token.value, level]);
    } else if (token.type === "alias") {
      aliases++;
      if (aliases > MOST_ALIASES) throw fail(token.offset, `at most ${MOST_ALIASES} aliases`, "more");
    } else if (CST.isCollection(token)) {
      if (level >= MOST_LEVELS) {
        throw fail(token.offset, `at most ${MOST_LEVELS} lists and maps within each other`, "more");
      }
      if (isMapToken(token) && token.items.length > MOST_KEYS) {
        throw fail(token.offset, `at most ${MOST_KEYS} keys`, `${token.items.length}`);
      }
      for (const { key, value } of token.items) {
        if (key) rest.push([key, level + 1]);
        if (value) rest.push([value, level + 1]);
      }
    }
  }
}

function isMapToken(token: CST.Token): boolean {
  return token.type === "block-map" || (token.type === "flow-collection" && token.start.type === "flow-map-start");
}

/** Number and depth of the values of a node. */
interface Extent {
  readonly values: number;
  readonly levels: number;
}

/** Every alias must repeat a node that ends before it, and the expanded file must stay within the limit. */
function checkNodes(document: Document, fail: Fail): void {
  const anchors = new Map<string, Node>();
  const extents = new Map<Node, Extent>();
  const offsetOf = (node: Node): number => node.range?.[0] ?? 0;

  const aliased = (alias: Alias): Extent => {
    const target = anchors.get(alias.source);
    if (!target) throw fail(offsetOf(alias), "an alias of an anchor before it", quoteText(`*${alias.source}`));
    const extent = extents.get(target);
    if (!extent) throw fail(offsetOf(alias), "an alias of what ends before it", quoteText(`*${alias.source}`));
    return extent;
  };
  const extentOf = (node: Node): Extent => {
    if (isAlias(node)) return aliased(node);
    if (node.anchor) anchors.set(node.anchor, node);
    const parts = isCollection(node) ? node.items.flatMap(partsOf).map(extentOf) : [];
    const extent = {
      values: parts.reduce((sum, part) => sum + part.values, 1),
      levels: parts.reduce((most, part) => Math.max(most, part.levels + 1), 0),
    };
    if (extent.values > MOST_VALUES) throw fail(offsetOf(node), `at most ${MOST_VALUES} values`, `${extent.values}`);
    if (extent.levels > MOST_LEVELS) {
      throw fail(offsetOf(node), `at most ${MOST_LEVELS} lists and maps within each other`, `${extent.levels}`);
    }
    extents.set(node, extent);
    return extent;
  };
  const partsOf = (item: unknown): Node[] => {
    if (!isPair(item)) return [item as Node];
    const { key, value } = item as { key: Node; value: Node | null };
    if (!isScalar(key) || typeof key.value !== "string") {
      throw fail(offsetOf(key), "keys that are text", quoteText(String(key)));
    }
    return [key, ...(value ? [value] : [])];
  };
  if (document.contents) extentOf(document.contents);
}
