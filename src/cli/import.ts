// axograd import [LAYOUT] FOLDER|FILE…: a connectome of published files, with its table of neurons and a record of where it comes from.

import type { Command } from "commander";
import { ArgumentError } from "../core/errors.ts";
import { formatCount, formatNumber } from "../core/format.ts";
import { alignColumns, plural, printable } from "../core/text.ts";
import { ID_POLICIES, type IdPolicy } from "../import/idPolicy.ts";
import {
  IMPORT_OPTIONS,
  type ImportedConnectome,
  type ImportOptions,
  importConnectome,
} from "../import/importConnectome.ts";
import { LAYOUTS } from "../import/layouts/index.ts";
import { type SignCount, UNCLEAR_POLICIES, type UnclearPolicy } from "../import/signs.ts";
import { writeConnectomeFile } from "../io/connectomeFile.ts";
import { exists } from "../io/files.ts";
import type { Provenance } from "../io/provenance.ts";
import { hyphenated } from "../run/names.ts";
import { Console, writeJson, writeLine, writeText } from "./console.ts";
import { LongWork } from "./loading.ts";
import { checkOutput } from "./outputFile.ts";
import { underOptions } from "./underOptions.ts";
import { oneOf, path, realNumber, wholeNumber } from "./values.ts";

interface GivenOptions {
  readonly out?: string;
  readonly edges?: string;
  readonly neurons?: string;
  readonly pre?: string;
  readonly post?: string;
  /** false for --no-weight. */
  readonly weight?: string | boolean;
  readonly id?: string;
  readonly ids?: IdPolicy;
  readonly nodes?: string;
  readonly connected?: boolean;
  readonly minSynapses?: number;
  readonly signs?: string;
  readonly unclear?: UnclearPolicy;
  readonly normalise?: string;
  readonly scale?: number;
  readonly rows?: "pre" | "post";
  readonly extent?: number;
  readonly overwrite?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Arguments of the import that are options of the command; the layout is none. */
const OPTIONS = Object.keys(IMPORT_OPTIONS).filter((name) => name !== "layout");

const HELP = `
Sign rules, by the transmitter of the presynaptic neuron; connections of sign 0 are left out:
  shiu        − GABA, glutamate             + all others, unclear too     default where the files name transmitters
  strict      − GABA, glutamate, histamine  + acetylcholine               0 amines, unclear
  permissive  as strict                     + dopamine, serotonin, octopamine, too
  source      those in the files            default where the files have signs
  none        no signs: weights are counts  default without transmitters
  FILE        a CSV file with the columns transmitter or id, and sign

Examples:
  npx axograd import malecns DOWNLOADS --min-synapses 5 --normalise rows --out fly.safetensors
  npx axograd import malecns DOWNLOADS --nodes "superclass=descending & side=L" --dry-run
  npx axograd import table --edges edges.csv --neurons cells.csv --pre from --post to --weight n --out mine.safetensors

Files, layouts, what happens in which order: docs/connectome-files.md. Selectors: docs/simulate.md.`;

/** Adds the command to the program. */
export function register(program: Command): void {
  program
    .command("import")
    .description("make a connectome of published files: neurons chosen, connections counted, signed and scaled")
    .argument(
      "[layout]",
      `how the files are laid out: ${LAYOUTS.map(({ name }) => name).join(", ")} (default: by their names)`,
    )
    .argument("[files...]", "folder of the published files, as downloaded, or the files")
    .option(
      "--out <file>",
      "connectome to write (.safetensors): matrix, neurons, and where it comes from",
      path("--out"),
    )
    .option("--edges <file>", "the file with the edges (default: by its name)", path("--edges"))
    .option("--neurons <file>", "the file with the neurons (default: by its name)", path("--neurons"))
    .option("--pre <column>", "edges: column of presynaptic neurons (default: by known names, here and below)")
    .option("--post <column>", "edges: column of postsynaptic neurons")
    .option("--weight <column>", "edges: column of synapses")
    .option("--no-weight", "edges: every row counts 1")
    .option("--id <column>", "neurons: column of ids")
    .option(
      "--ids <kind>",
      `what ids are: ${ID_POLICIES.join(", ")} (default: auto, which reports what it decided)`,
      oneOf("--ids", ID_POLICIES),
    )
    .option(
      "--nodes <selector>",
      'neurons to keep, such as "superclass=* & side=L" (default: by layout)',
      path("--nodes"),
    )
    .option("--connected", "leave out neurons without connections")
    .option(
      "--min-synapses <count>",
      "least synapses of a connection, summed over neuropils (default: any)",
      realNumber("--min-synapses", { least: 0 }),
    )
    .option(
      "--signs <rule>",
      "signs of connections: shiu, strict, permissive, source, none, or a CSV file (see below)",
      path("--signs"),
    )
    .option(
      "--unclear <policy>",
      `neurons with an unclear transmitter: ${UNCLEAR_POLICIES.join(", ")} (default: rule; shiu excites, others drop)`,
      oneOf("--unclear", UNCLEAR_POLICIES),
    )
    .option(
      "--normalise <how>",
      "rows (summed |input| of each neuron is 1), in-degree (divided by its root), radius=0.9 (spectral radius of |W|), log (ln(1 + synapses)), none (default: none)",
      path("--normalise"),
    )
    .option("--scale <factor>", "multiply all weights, after --normalise (default: 1)", realNumber("--scale", {}))
    .option(
      "--rows <neurons>",
      "matrices: rows are presynaptic (pre) or postsynaptic (post)",
      oneOf("--rows", ["pre", "post"]),
    )
    .option(
      "--extent <columns>",
      "flyvis: columns from the centre to the border (default: 15)",
      wholeNumber("--extent", 0),
    )
    .option("--overwrite", "replace a file that exists")
    .option("--dry-run", "read and count, but write nothing")
    .option("--json", "report as JSON")
    .addHelpText("after", HELP)
    .action((layout: string | undefined, files: readonly string[], given: GivenOptions) =>
      runImport(layout, files, given),
    );
}

async function runImport(first: string | undefined, others: readonly string[], given: GivenOptions): Promise<void> {
  const { out, dryRun = false, overwrite = false, json = false } = given;
  const { layout, paths } = await wordsOf(first, others, given);
  if (out === undefined && !dryRun) {
    throw new ArgumentError("import", "--out", "a file to write, or --dry-run", "none");
  }
  if (out !== undefined && !/\.safetensors$/i.test(out)) {
    throw new ArgumentError(
      "import",
      "--out",
      "a file ending in .safetensors, which holds neurons and provenance",
      out,
    );
  }
  if (out !== undefined && !dryRun) await checkOutput(out, overwrite);
  const work = new LongWork(new Console({ json, quiet: false }));
  const options: ImportOptions = {
    ...optionsOf(given),
    ...(layout !== undefined && { layout }),
    onProgress: (step, { done, total }) =>
      work.show(() => `${step}  ${total > 0 ? `${Math.floor((100 * done) / total)} %` : formatCount(done)}`),
  };
  const connectome = await underOptions("import", OPTIONS, () => importConnectome(paths, options)).finally(() =>
    work.done(),
  );
  const file = dryRun ? null : (out ?? null);
  if (file !== null) await write(file, connectome);
  if (json) writeJson(jsonOf(connectome, file));
  else printReport(connectome, file);
}

/** The first word is a layout, unless it is the only one, or a path. */
async function wordsOf(
  first: string | undefined,
  others: readonly string[],
  { edges }: GivenOptions,
): Promise<{ readonly layout: string | undefined; readonly paths: readonly string[] }> {
  if (first === undefined) {
    throw new ArgumentError("import", "files", "a folder of published files, or the files", "none");
  }
  const isLayout = LAYOUTS.some(({ name }) => name === first);
  const isPath = !isLayout && (first.includes("/") || (await exists(first)));
  if (isPath) return { layout: undefined, paths: [first, ...others] };
  if (others.length > 0 || edges !== undefined) return { layout: first, paths: others };
  if (!isLayout) return { layout: undefined, paths: [first] };
  throw new ArgumentError("import", "files", `a folder of published files behind ${first}`, "none");
}

function optionsOf(given: GivenOptions): ImportOptions {
  const { out: _out, overwrite: _overwrite, dryRun: _dryRun, json: _json, weight, ...same } = given;
  return {
    ...same,
    ...(weight === false && { weight: null }),
    ...(typeof weight === "string" && { weight }),
  };
}

async function write(file: string, { csr, labels, table, provenance }: ImportedConnectome): Promise<void> {
  await writeConnectomeFile(file, csr, { labels, table, provenance });
}

function jsonOf({ csr, table, provenance, report }: ImportedConnectome, file: string | null): object {
  return {
    file,
    neurons: csr.nRows,
    connections: csr.nnz,
    dtype: csr.values instanceof Float32Array ? "f32" : "f64",
    types: typesOf(table).length,
    ...report,
    provenance,
  };
}

/** "" stands for none. */
function typesOf({ types }: ImportedConnectome["table"]): readonly string[] {
  return types.filter((type) => type !== "");
}

/** Synapses that are means of counts have a fraction, of which one digit is shown. */
const count = (value: number | null): string =>
  value === null ? "" : value.toLocaleString("en-US", { maximumFractionDigits: 1 });

function printReport({ csr, table, provenance, report }: ImportedConnectome, file: string | null): void {
  const { dataset, citation, licence, steps, rules, notes = [] } = provenance;
  const cited = citation === undefined ? "" : `: ${citation}`;
  writeLine(`${dataset}${cited}${licence === undefined ? "" : ` (licence: ${licence})`}`);
  writeText("\n");
  printTable(
    ["step", "neurons", "connections", "synapses"],
    steps.map((row) => [row.step, count(row.neurons), count(row.connections), count(row.synapses)]),
  );
  if (report.signs.length > 0) {
    writeText("\n");
    const sign = (value: number): string => (value > 0 ? "+" : value < 0 ? "−" : "0");
    printTable(
      ["transmitter", "sign", "neurons", "connections", "synapses"],
      [
        ...report.signs.map((row) => [row.transmitter, sign(row.sign), row] as const),
        ["all", "", sumOf(report.signs)] as const,
      ].map(([name, of, row]) => [name, of, count(row.neurons), count(row.connections), count(row.synapses)]),
    );
  }
  writeText("\n");
  const { edges, unconnected } = report;
  const facts = [
    ...provenance.sources.map(
      ({ role, file, bytes, sha256 }) => `${role}: ${file}, ${formatCount(bytes)} bytes, SHA-256 ${sha256}`,
    ),
    `options: ${optionsText(rules)}`,
    ...(edges.outsideRows > 0
      ? [
          `${plural(edges.outsideRows, "row")} (${count(edges.outsideSynapses)} synapses) with an end that is none of these neurons`,
        ]
      : []),
    ...(edges.summedRows > 0 ? [`${plural(edges.summedRows, "row")} summed with others about the same pair`] : []),
    ...(edges.selfConnections > 0
      ? [`${plural(edges.selfConnections, "connection")} of a neuron to itself, kept`]
      : []),
    ...(unconnected > 0
      ? [`${plural(unconnected, "neuron")} without connections, kept (--connected leaves them out)`]
      : []),
    ...(report.radiusBefore !== null ? [`spectral radius of the counts: ${formatNumber(report.radiusBefore)}`] : []),
    ...notes,
  ];
  for (const fact of facts) writeLine(fact);
  const types = typesOf(table);
  const ofTypes = types.length === 0 ? "" : ` of ${plural(types.length, "type")}`;
  const untyped = types.length === 0 ? 0 : table.typeIdx.filter((t) => table.types[t] === "").length;
  const without = untyped === 0 ? "" : ` (${formatCount(untyped)} without one)`;
  const what = `${plural(csr.nRows, "neuron")}${ofTypes}${without}, ${plural(csr.nnz, "connection")}`;
  writeLine(file === null ? `${what}; nothing was written (--dry-run)` : `${file}: ${what}`);
}

function sumOf(rows: ImportedConnectome["report"]["signs"]): Pick<SignCount, "neurons" | "connections" | "synapses"> {
  const sum = (of: "neurons" | "connections" | "synapses"): number => rows.reduce((total, row) => total + row[of], 0);
  return { neurons: sum("neurons"), connections: sum("connections"), synapses: sum("synapses") };
}

/** Rules as options that repeat them: --nodes 'superclass=*' --min-synapses 3. */
function optionsText(rules: Provenance["rules"]): string {
  return Object.entries(rules)
    .flatMap(([name, value]) => {
      if (name === "weight" && value === null) return ["--no-weight"];
      if (typeof value === "boolean") return value ? [`--${hyphenated(name)}`] : [];
      const text = String(value);
      return [
        `--${hyphenated(name)} ${/^[\w./=:-]+$/.test(text) ? text : `'${printable(text).replaceAll("'", "'\\''")}'`}`,
      ];
    })
    .join(" ");
}

function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const right = head.map((_, k) => k).slice(head.indexOf("neurons"));
  for (const text of alignColumns([head, ...rows], right)) writeLine(text);
}
