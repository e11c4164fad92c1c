// YAML files, and JSON, which is YAML too: plain data, and the line that each key of it is on.

import { isMap, LineCounter, type Node, parseDocument } from "yaml";
import { FileFormatError } from "../core/errors.ts";
import { readBytes } from "../io/files.ts";
import { isObject } from "./kinds.ts";

/** The key that editors find the schema by. */
export const SCHEMA_KEY = "$schema";

export interface YamlFile {
  readonly file: string;
  /** Without the key that editors find the schema by. */
  readonly data: Readonly<Record<string, unknown>>;
  /** `file:line` of the key at a path, or of the nearest key above it that the file has. */
  where(path: readonly string[]): string;
}

/**
 * Reads a file of keys with values.
 *
 * @param kind  what the file should be, for error messages
 * @throws {FileFormatError} missing, or neither YAML nor JSON
 */
export async function readYaml(file: string, kind: string): Promise<YamlFile> {
  const lines = new LineCounter();
  const text = new TextDecoder().decode(await readBytes(file, kind));
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [error] = document.errors;
  if (error) {
    const { line } = lines.linePos(error.pos[0]);
    throw new FileFormatError(`${file}:${line}`, "YAML or JSON", error.message.replaceAll("\n", " "));
  }
  const content: unknown = document.toJS() ?? {};
  if (!isObject(content)) throw new FileFormatError(file, "keys with values", "something else");
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
