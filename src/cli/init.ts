// `axograd init`: writes a configuration file with every setting, its default and what it means.

import { access } from "node:fs/promises";
import { dirname, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { ArgumentError } from "../core/errors.ts";
import { replaceFile } from "../io/durable.ts";
import { schemaText } from "./configSchema.ts";
import { configTemplate } from "./configTemplate.ts";
import { PRESETS } from "./presets.ts";
import { oneOf } from "./values.ts";

const DEFAULT_FILE = "axograd.yaml";
/** The schema in the package, seen from the compiled file. */
const SCHEMA = fileURLToPath(new URL("../../../schema/train.schema.json", import.meta.url));

interface GivenOptions {
  readonly preset?: string;
  readonly overwrite?: boolean;
  readonly schema?: boolean;
}

/** Adds the command to the program. */
export function register(program: Command): void {
  program
    .command("init")
    .description("write a commented configuration file for train --config")
    .argument("[file]", "where to", DEFAULT_FILE)
    .option("--preset <name>", "whose values are written (default: demo)", oneOf("--preset", Object.keys(PRESETS)))
    .option("--overwrite", "replace a file that is there")
    .option("--schema", "print the JSON Schema of configuration files instead")
    .action(init);
}

async function init(file: string, { preset = "demo", overwrite = false, schema = false }: GivenOptions): Promise<void> {
  if (schema) {
    process.stdout.write(schemaText());
    return;
  }
  if (!overwrite && (await exists(file))) {
    throw new ArgumentError("init", "FILE", "a new file (or --overwrite)", `${file}, which exists`);
  }
  const toSchema = relative(dirname(resolve(file)), SCHEMA)
    .split(sep)
    .join("/");
  await replaceFile(file, [configTemplate(preset, toSchema)]);
  process.stdout.write(`wrote ${file}; run it with: axograd train --config ${file}\n`);
}

async function exists(file: string): Promise<boolean> {
  try {
    await access(file);
    return true;
  } catch {
    return false;
  }
}
