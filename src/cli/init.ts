// `axograd init`: writes a configuration file with every setting, its value and its meaning.

import { dirname, extname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { ArgumentError } from "../core/errors.ts";
import { replaceFile } from "../io/durable.ts";
import { exists } from "../io/files.ts";
import { PRESETS } from "../run/presets.ts";
import { schemaText } from "./configSchema.ts";
import { configJson, configTemplate } from "./configTemplate.ts";
import { writeLine } from "./console.ts";
import { sweepJson, sweepSchemaText, sweepTemplate } from "./sweep/sweepSchema.ts";
import { oneOf } from "./values.ts";

const DEFAULT_FILE = "axograd.yaml";
const DEFAULT_SWEEP = "sweep.yaml";
/** The schemas of the package, relative to the compiled file. */
const SCHEMAS = fileURLToPath(new URL("../../../schema/", import.meta.url));

/** Templates of files, by the command that reads them. */
const TEMPLATES = {
  train: { yaml: configTemplate, json: configJson },
  sweep: { yaml: sweepTemplate, json: sweepJson },
} as const;

interface GivenOptions {
  readonly preset?: string;
  readonly overwrite?: boolean;
  readonly schema?: boolean;
  readonly sweep?: boolean;
}

/** Adds the command to the program. */
export function register(program: Command): void {
  program
    .command("init")
    .description("write a commented configuration file for train --config, or a sweep file")
    .argument("[file]", `where to (default: ${DEFAULT_FILE}, or ${DEFAULT_SWEEP}); X.json: as JSON, without comments`)
    .option("--preset <name>", "preset whose values to write (default: demo)", oneOf("--preset", Object.keys(PRESETS)))
    .option("--sweep", "write a file for npx axograd sweep instead")
    .option("--overwrite", "replace an existing file")
    .option("--schema", "print the JSON Schema of such files instead")
    .action(init);
}

async function init(name: string | undefined, given: GivenOptions): Promise<void> {
  const { preset = "demo", overwrite = false, schema = false, sweep = false } = given;
  if (schema) {
    const idle = name ?? given.preset ?? (overwrite ? "--overwrite" : null);
    if (idle !== null)
      throw new ArgumentError("init", "--schema", "it alone or with --sweep, as it prints and writes no file", idle);
    process.stdout.write(sweep ? sweepSchemaText() : schemaText());
    return;
  }
  const file = name ?? (sweep ? DEFAULT_SWEEP : DEFAULT_FILE);
  if (!overwrite && (await exists(file))) {
    throw new ArgumentError("init", "FILE", "a new file (or --overwrite)", `${file}, which exists`);
  }
  const command = sweep ? "sweep" : "train";
  const { yaml, json } = TEMPLATES[command];
  const schemaFile = relative(dirname(resolve(file)), join(SCHEMAS, `${command}.schema.json`));
  // URL-encoded, so that no name of a folder can end the comment.
  const toSchema = encodeURI(schemaFile.split(sep).join("/"));
  await replaceFile(file, [(extname(file) === ".json" ? json : yaml)(preset, toSchema)]);
  writeLine(`wrote ${file}; run it with: npx axograd ${sweep ? "sweep" : "train --config"} ${file}`);
}
