// axograd generate malecns DIR: made-up files in the layout of a published data set, to try everything without it.

import { join } from "node:path";
import type { Command } from "commander";
import { formatCount } from "../core/format.ts";
import { MALE_CNS_FILES, MALE_CNS_SIZE, type MadeUpOptions, writeMadeUpMaleCns } from "../import/madeUpMaleCns.ts";
import { Console, writeJson, writeLine } from "./console.ts";
import { LongWork } from "./loading.ts";
import { refuseExisting } from "./outputFile.ts";
import { underOptions } from "./underOptions.ts";
import { oneOf, path, wholeNumber } from "./values.ts";

/** Rows that take seconds to draw. */
const LONG = 1e6;
const LAYOUTS = ["malecns"] as const;
const SIZES = ["neurons", "connections", "fragments"];

const EXAMPLES = `
Examples:
  npx axograd generate malecns made-up                      a tenth of the neurons, in seconds
  npx axograd import malecns made-up --normalise rows --out fly.safetensors
  npx axograd generate malecns whole --neurons ${MALE_CNS_SIZE.neurons} --connections ${MALE_CNS_SIZE.connections}

What follows: docs/nervous-system.md.`;

interface GivenOptions extends Pick<MadeUpOptions, "neurons" | "connections" | "fragments" | "seed"> {
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

/** Adds the command to the program. */
export function register(program: Command): void {
  const { neurons, connections } = MALE_CNS_SIZE;
  program
    .command("generate")
    .description(
      "make up a data set in the layout of a published one, to try things out: random numbers, no animal's data",
    )
    .argument("<layout>", `layout of the files: ${LAYOUTS.join(", ")}`, oneOf("LAYOUT", LAYOUTS))
    .argument("<dir>", "folder to write to, made if missing", path("DIR"))
    .option(
      "--neurons <n>",
      `neurons (default: 16670; a whole fly: ${neurons})`,
      wholeNumber("--neurons", 100, neurons),
    )
    .option(
      "--connections <n>",
      `connections between neurons (default: 153 per neuron; a whole fly: ${connections})`,
      wholeNumber("--connections", 100, connections),
    )
    .option(
      "--fragments <n>",
      "more rows, each between a neuron and a fragment, which an import drops (default: one per neuron; a whole fly: 126273746)",
      wholeNumber("--fragments", 0, 1.4e9),
    )
    .option("--seed <n>", "seed (default: 0)", wholeNumber("--seed", 0))
    .option("--overwrite", "replace files that exist")
    .option("--json", "report as JSON")
    .addHelpText("after", EXAMPLES)
    .action((_layout: string, folder: string, given: GivenOptions) => generate(folder, given));
}

async function generate(folder: string, { overwrite = false, json = false, ...sizes }: GivenOptions): Promise<void> {
  if (!overwrite) for (const name of Object.values(MALE_CNS_FILES)) await refuseExisting(join(folder, name));
  const console = new Console({ json, quiet: false });
  const work = new LongWork(console);
  const { onProgress } = work;
  const set = await underOptions("generate", SIZES, () =>
    writeMadeUpMaleCns(folder, {
      ...sizes,
      onProgress: (step, { done, total }) => {
        // Nothing else happens while they are drawn.
        if (done === 0 && total > LONG) console.status(`drawing ${formatCount(total)} ${step}`);
        onProgress({ work: `writing ${step}`, done, total });
      },
    }),
  );
  work.done();
  if (json) {
    writeJson({ madeUp: true, layout: "malecns", folder, ...set });
    return;
  }
  const count = (value: number): string => formatCount(value);
  writeLine(`${folder}: made up in the layout of MaleCNS v1.0, no data of an animal (seed ${set.seed})`);
  writeLine(`${count(set.neurons)} neurons of ${count(set.types)} types`);
  writeLine(`${count(set.connections)} connections between them, ${count(set.synapses)} synapses`);
  const rest = Object.entries(set.atLeast).map(([least, number]) => `≥ ${least} synapses: ${count(number)}`);
  writeLine(rest.join(", "));
  writeLine(`${count(set.rows - set.connections)} rows with fragments`);
  for (const file of set.files) writeLine(file);
}
