// Configuration files: YAML, or JSON, which is YAML too. The record of a run, its config.json, is one.

import { isMap, LineCounter, type Node, parseDocument } from "yaml";
import { FileFormatError } from "../core/errors.ts";
import { readBytes } from "../io/files.ts";
import { type Settings, settingsOf } from "./configLayers.ts";
import { isObject } from "./kinds.ts";

/** The key that editors find the schema by. */
const SCHEMA_KEY = "$schema";

/**
 * The settings in a file.
 *
 * @throws {FileFormatError} missing, or neither YAML nor JSON
 * @throws {ArgumentError} an unknown key or a wrong value, with file, line, key, what was expected and what was got
 */
export async function readConfigFile(file: string): Promise<Settings> {
  const lines = new LineCounter();
  const text = new TextDecoder().decode(await readBytes(file, "a configuration file"));
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [error] = document.errors;
  if (error) {
    const { line } = lines.linePos(error.pos[0]);
    throw new FileFormatError(`${file}:${line}`, "YAML or JSON", error.message.replaceAll("\n", " "));
  }
  const data: unknown = document.toJS() ?? {};
  if (!isObject(data)) throw new FileFormatError(file, "keys with values", "something else");
  const path = isRecordOfRun(data) ? ["config"] : [];
  const { [SCHEMA_KEY]: _, ...settings } = isRecordOfRun(data) ? data.config : data;
  const where = (key: string): string => {
    const map = path.length > 0 ? document.getIn(path, true) : document.contents;
    const pair = isMap(map) ? map.items.find((item) => String(item.key) === key) : undefined;
    const offset = (pair?.key as Node | undefined)?.range?.[0];
    return offset === undefined ? file : `${file}:${lines.linePos(offset).line}`;
  };
  return settingsOf(settings, where);
}

type RecordOfRun = Readonly<Record<string, unknown>> & { readonly config: Readonly<Record<string, unknown>> };

/** config.json of a run holds its configuration beside what it was resolved to. */
function isRecordOfRun(data: Readonly<Record<string, unknown>>): data is RecordOfRun {
  return typeof data.version === "string" && isObject(data.config);
}
