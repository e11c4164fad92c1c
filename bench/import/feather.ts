// How long a table of edges of the size of MaleCNS v1.0 takes to read, and how much memory, beside pyarrow. Each reading is a process of its own; the
// two take turns. Both must find the same, or nothing is reported.

import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { repositoryRoot } from "../../test/support/shared.ts";
import { describeMachine } from "../machine.ts";
import { seconds } from "../report/text.ts";
import { median, summarise } from "../stats.ts";
import type { Reading } from "./readEdges.ts";

const USAGE = `node dist/bench/import/feather.js [options]

  --rows <n>        rows of the table that is generated (150000000)
  --ids <n>         ids from which their ends are drawn (88000000)
  --neurons <n>     ids to keep (166700)
  --file <file>     the table: read if it exists, else generated there and kept
  --python <path>   a Python with pyarrow (AXOGRAD_PYTHON, or python3)
  --rounds <n>      turns (3)
  --json <file>     write everything measured
`;

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "150000000" },
    ids: { type: "string", default: "88000000" },
    neurons: { type: "string", default: "166700" },
    file: { type: "string" },
    python: { type: "string", default: process.env.AXOGRAD_PYTHON ?? "python3" },
    rounds: { type: "string", default: "3" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

const OURS = fileURLToPath(new URL("./readEdges.js", import.meta.url));
const PEERS = join(repositoryRoot(), "bench", "peers");
const run = promisify(execFile);

if (values.help) console.log(USAGE);
else await main();

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "axograd-bench-"));
  try {
    const file = values.file ?? join(folder, "edges.feather");
    if (!existsSync(file)) {
      console.log(`writes ${file}: ${values.rows} rows`);
      await run(values.python, [join(PEERS, "make_edges.py"), file, values.rows, values.ids, values.neurons]);
    }
    const results = [];
    for (const operation of ["read", "filter"]) results.push(await compare(file, operation));
    if (values.json !== undefined) {
      const report = { machine: describeMachine(), bytes: statSync(file).size, results };
      writeFileSync(values.json, `${JSON.stringify(report, null, 1)}\n`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Both readers in turns. */
async function compare(file: string, operation: string): Promise<object> {
  const args = [file, operation, values.neurons];
  const commands = [
    [process.execPath, OURS, ...args],
    [values.python, join(PEERS, "read_edges.py"), ...args],
  ] as const;
  const readings: Reading[][] = commands.map(() => []);
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [k, [program, ...rest]] of commands.entries()) {
      const { stdout } = await run(program, rest);
      readings[k]!.push(JSON.parse(stdout) as Reading);
    }
  }
  const all = readings.flat();
  const found = new Set(all.map((reading) => JSON.stringify(reading.found)));
  if (found.size !== 1) throw new Error(`${operation}: the readers found different things: ${[...found].join(", ")}`);
  const [ours, theirs] = readings as [Reading[], Reading[]];
  const rows = [ours, theirs].map((contender) => ({
    reader: contender[0]!.reader,
    ...summarise(contender.map((reading) => reading.seconds)),
    maxRssBytes: Math.max(...contender.map((reading) => reading.maxRssBytes)),
  }));
  const ratio = median(ours.map((reading) => reading.seconds)) / median(theirs.map((reading) => reading.seconds));
  for (const { reader, medianS, minS, maxRssBytes } of rows) {
    const memory = `${Math.round(maxRssBytes / 2 ** 20)} MiB`;
    console.log(
      `${operation.padEnd(7)} ${reader.padEnd(16)} median ${seconds(medianS)}, min ${seconds(minS)}, peak ${memory}`,
    );
  }
  console.log(`${operation.padEnd(7)} axograd takes ${ratio.toFixed(2)} times as long`);
  return { operation, ...ours[0]!.found, rows, ratio };
}
