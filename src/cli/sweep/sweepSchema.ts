// The JSON Schema of sweep files, and a template.

import { CONFIG_KEYS } from "../../run/configOptions.ts";
import type { JsonSchema } from "../../run/settingTypes.ts";
import { configSchema } from "../configSchema.ts";
import { SCHEMA_KEY } from "../yamlFile.ts";

export function sweepSchema(): JsonSchema {
  const { $schema, properties, ...train } = configSchema() as {
    readonly $schema: string;
    readonly properties: Readonly<Record<string, JsonSchema>>;
  };
  const { $schema: _, ...definitions } = properties;
  const reference = (key: string): JsonSchema => ({ $ref: `#/definitions/${key}` });
  const settings = Object.fromEntries(CONFIG_KEYS.map((key) => [key, reference(key)]));
  const lists = CONFIG_KEYS.filter((key) => key !== "seed").map((key) => [
    key,
    {
      description: definitions[key]!.description,
      type: "array",
      minItems: 1,
      uniqueItems: true,
      items: reference(key),
    },
  ]);
  const axes = { type: "object", additionalProperties: false, properties: Object.fromEntries(lists) };
  const seed = { type: "integer", minimum: 0 };
  return {
    $schema,
    title: "axograd sweep",
    description: "Training runs with every combination of some settings, and several seeds.",
    type: "object",
    additionalProperties: false,
    definitions,
    properties: {
      $schema: { type: "string" },
      base: {
        description: "Settings of all runs, or the name of a configuration file.",
        anyOf: [
          { ...train, properties: settings },
          { type: "string", minLength: 1 },
        ],
      },
      seeds: {
        description: "How many seeds, counted from 0, or a list of them; every combination is run with each.",
        anyOf: [
          { ...seed, minimum: 1 },
          { type: "array", minItems: 1, uniqueItems: true, items: seed },
        ],
      },
      grid: { description: "Lists of values; every combination of them is run.", ...axes },
      zip: {
        description: "Lists of equal length: first values together, second values together, and so on.",
        ...axes,
      },
    },
  };
}

/** The text of `schema/sweep.schema.json`. */
export function sweepSchemaText(): string {
  return `${JSON.stringify(sweepSchema(), null, 2)}\n`;
}

/** @param schema  path of the schema for editors, relative to the file */
export function sweepJson(preset: string, schema: string): string {
  const file = { [SCHEMA_KEY]: schema, base: { preset }, seeds: 3, grid: { lr: [1e-3, 3e-4] } };
  return `${JSON.stringify(file, null, 2)}\n`;
}

/** The same as YAML, with comments. */
export function sweepTemplate(preset: string, schema: string): string {
  return `# yaml-language-server: $schema=${schema}
#
# Runs of \`npx axograd sweep FILE\`: every combination of the settings under grid, each with every seed.
# \`npx axograd init\` writes a file with all settings and what they mean.

# Settings of all runs, or the name of a configuration file.
base:
  preset: ${preset}

# How many seeds, or a list like [3, 7].
seeds: 3

# Lists of values; every combination is run.
grid:
  lr: [1e-3, 3e-4]

# Lists of equal length that go together: first values, second values, …
# zip:
#   gain: [1, 2]
#   endTime: [5, 3]
`;
}
