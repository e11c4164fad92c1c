// Configuration files: YAML, or JSON, which is a subset. The config.json of a run is one, too.

import { isObject } from "../core/plainObject.ts";
import { type Settings, settingsOf } from "../run/configLayers.ts";
import { readYaml, SCHEMA_KEY } from "./yamlFile.ts";

/**
 * The settings in a file.
 *
 * @throws {FileFormatError} missing, or neither YAML nor JSON
 * @throws {ArgumentError} an unknown key or a wrong value, with file, line, key, what was expected and what was got
 */
export async function readConfigFile(file: string): Promise<Settings> {
  const { data, where } = await readYaml(file, "a configuration file");
  if (!isRecordOfRun(data)) return settingsOf(data, (key) => where([key]));
  const { [SCHEMA_KEY]: _, ...settings } = data.config;
  return settingsOf(settings, (key) => where(["config", key]));
}

type RecordOfRun = Readonly<Record<string, unknown>> & { readonly config: Readonly<Record<string, unknown>> };

/** config.json of a run holds its configuration and the facts about it. */
function isRecordOfRun(data: Readonly<Record<string, unknown>>): data is RecordOfRun {
  return typeof data.version === "string" && isObject(data.config);
}
