// The JSON Schema of configuration files, from the table of settings: editors complete and check with it.

import { CONFIG_KEYS, CONFIG_OPTIONS, hasFixedDefault } from "../run/configOptions.ts";
import type { JsonSchema } from "../run/settingTypes.ts";

const DIALECT = "http://json-schema.org/draft-07/schema#";

export function configSchema(): JsonSchema {
  const properties = CONFIG_KEYS.map((key) => {
    const { help, type, default: value } = CONFIG_OPTIONS[key];
    return [key, { description: help, ...type.schema, ...(hasFixedDefault(key) && { default: value }) }];
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
