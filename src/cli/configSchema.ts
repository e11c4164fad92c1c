// The JSON Schema of configuration files, from the table of settings: editors complete and check with it.

import { CONFIG_KEYS, CONFIG_OPTIONS, defaults, type Key } from "../run/configOptions.ts";
import type { JsonSchema } from "../run/settingTypes.ts";

const DIALECT = "http://json-schema.org/draft-07/schema#";

/** What the machine decides is no default of the schema. */
const MACHINE: readonly Key[] = ["threads"];

export function configSchema(): JsonSchema {
  const known: Readonly<Record<string, unknown>> = defaults();
  const properties = CONFIG_KEYS.map((key) => {
    const { help, type } = CONFIG_OPTIONS[key];
    const byDefault = key in known && !MACHINE.includes(key) ? { default: known[key] } : {};
    return [key, { description: help, ...type.schema, ...byDefault }];
  });
  return {
    $schema: DIALECT,
    title: "axograd train",
    description: "Configuration of a training run. What is left out is decided by the preset.",
    type: "object",
    additionalProperties: false,
    properties: { $schema: { type: "string" }, ...Object.fromEntries(properties) },
  };
}

/** The text of `schema/train.schema.json`. */
export function schemaText(): string {
  return `${JSON.stringify(configSchema(), null, 2)}\n`;
}
