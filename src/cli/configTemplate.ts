// The configuration file that `axograd init` writes: every setting with its value, meaning and allowed values.

import { stringify } from "yaml";
import type { TrainConfig } from "../run/config.ts";
import { resolveConfig } from "../run/configLayers.ts";
import { CONFIG_KEYS, CONFIG_OPTIONS, GROUPS, type Key } from "../run/configOptions.ts";
import { SCHEMA_KEY } from "./yamlFile.ts";

const WIDTH = 100;

/** Depends on the machine: in YAML the line is commented out. */
const COMMENTED: readonly Key[] = ["threads"];

/**
 * @param preset  whose values are written
 * @param schema  path of the schema for editors, relative to the file
 */
export function configTemplate(preset: string, schema: string): string {
  const config = resolveConfig([{ preset }]);
  const parts = GROUPS.map((group) => {
    const keys = CONFIG_KEYS.filter((key) => CONFIG_OPTIONS[key].group === group);
    return `# ${group}\n\n${keys.map((key) => entry(key, config)).join("")}`;
  });
  return `${header(preset, schema)}\n${parts.join("\n")}`;
}

/** The same as JSON, which has no comments: the schema describes the settings. */
export function configJson(preset: string, schema: string): string {
  const config = resolveConfig([{ preset }]);
  const settings = CONFIG_KEYS.filter((key) => !COMMENTED.includes(key)).map((key) => [key, config[key]]);
  return `${JSON.stringify({ [SCHEMA_KEY]: schema, ...Object.fromEntries(settings) }, null, 2)}\n`;
}

function header(preset: string, schema: string): string {
  return [
    `# yaml-language-server: $schema=${schema}`,
    "#",
    ...wrapped(
      "Configuration of `npx axograd train --config FILE`. All settings are here, with the values of " +
        `the preset "${preset}"; a line that is deleted gets the preset's value again. Options of the command ` +
        "line and --set key=value take precedence. Paths are relative to the folder that it runs in.",
    ).map((line) => `# ${line}`),
    "",
  ].join("\n");
}

function entry(key: Key, config: TrainConfig): string {
  const { help, type } = CONFIG_OPTIONS[key];
  const expected = type.read(null as never) === null ? `${type.expected}, or null` : type.expected;
  const comment = wrapped(`${help}. ${capital(expected)}.`).map((line) => `# ${line}\n`);
  const line = stringify({ [key]: config[key] });
  return `${comment.join("")}${COMMENTED.includes(key) ? `# ${line}` : line}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Lines of at most `WIDTH` characters. */
function wrapped(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
