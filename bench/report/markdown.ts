// Markdown tables from the JSON of a run.

import { describeProfile } from "../../src/profile/stepProfile.ts";
import type { Fit, Report, Row, StepProfileRecord } from "../row.ts";
import { seconds } from "./text.ts";

/** The lines around the tables in a document. */
export const MARKER_BEGIN = "<!-- bench:begin (made by bench/table.ts, do not edit) -->";
export const MARKER_END = "<!-- bench:end -->";

/** All of one run: machine, rates, rows, peers, exponents, what was left out. */
export function reportTable(report: Report): string {
  const { machine, load, label, startedAt } = report;
  const date = startedAt.slice(0, 10);
  const lines = [
    `${machine.cpu}, ${machine.cores} cores, ${gib(machine.memoryBytes)} GiB; ${machine.os}; Node ${machine.node}; commit ` +
      `${machine.commit}; ${date}. Load ${load.before.toFixed(1)} before, ${load.after.toFixed(1)} after${label ? `; ${label}` : ""}.`,
    "",
    ...report.rooflines.map(
      (r) =>
        `- measured rates, ${r.threads} thread${r.threads === 1 ? "" : "s"}: multiply-add ${giga(r.flops)} GFLOP/s; read ` +
        `${r.levels.map((l) => `${l.name} ${giga(l.bandwidth)}`).join(", ")}, copy ${giga(r.copy)} GB/s`,
    ),
    "",
    ...ownTable(report.rows),
    "",
    ...peerTable(report.rows),
    ...fitList(report.fits),
    ...profileList(report.profiles ?? []),
    ...[...report.notes.map((text) => `- left out: ${text}`), ...report.refused.map((text) => `- **wrong**: ${text}`)],
  ];
  return lines.join("\n").trimEnd();
}

/** A summary: products and steps at the most threads, without parts, exponents and notes. */
export function summaryTable(report: Report): string {
  const threads = Math.max(...report.rows.filter((row) => row.peer === null).map((row) => row.threads));
  const rows = comparisons(report.rows)
    .filter(({ own }) => own.threads === threads && SUMMARY.includes(own.op))
    .flatMap(({ own, peers }) => [own, ...peers]);
  return reportTable({ ...report, rows, rooflines: [], fits: [], profiles: [], notes: [] });
}

const SUMMARY = ["spmm", "spmmT+grad", "solve", "step"];

/** `text` with the table between its markers; unchanged if it has none. */
export function replaceTable(text: string, table: string): string {
  const begin = text.indexOf(MARKER_BEGIN);
  const end = text.indexOf(MARKER_END);
  if (begin < 0 || end < begin) return text;
  return `${text.slice(0, begin + MARKER_BEGIN.length)}\n\n${table}\n\n${text.slice(end)}`;
}

function ownTable(rows: readonly Row[]): string[] {
  return table(
    ["operation", "network", "batch", "threads", "median", "min", "± %", "GFLOP/s", "GB/s", "roofline", "RSS MiB"],
    rows
      .filter((row) => row.peer === null)
      .map((row) => [
        row.rhsEvaluations === null || row.op.includes(".") ? row.op : `${row.op} (${row.rhsEvaluations} rhs)`,
        row.adapter === null ? row.network : `${row.network}, ${row.adapter}`,
        row.dims.batch > 0 ? `${row.dims.batch}` : "",
        `${row.threads}`,
        seconds(row.medianS),
        seconds(row.minS),
        number(row.rmePct, 0),
        number(row.gflops, 1),
        number(row.gbps, 1),
        row.fractionOfRoofline === null ? "" : `${number(100 * row.fractionOfRoofline, 0)} %`,
        row.maxRssBytes === null ? "" : `${Math.round(row.maxRssBytes / 2 ** 20)}`,
      ]),
  );
}

/** Groups each measurement of axograd with the rows of its peers, which follow it. */
interface Comparison {
  readonly own: Row;
  readonly peers: readonly Row[];
}

function comparisons(rows: readonly Row[]): Comparison[] {
  const found: { own: Row; peers: Row[] }[] = [];
  for (const row of rows) {
    if (row.peer === null) found.push({ own: row, peers: [] });
    else found.at(-1)?.peers.push(row);
  }
  return found;
}

/** One line per operation, one column per peer: peer time / our time. */
function peerTable(rows: readonly Row[]): string[] {
  const peers = [...new Set(rows.flatMap((row) => row.peer ?? []))];
  if (peers.length === 0) return [];
  const body = comparisons(rows)
    .filter((c) => c.peers.length > 0)
    .map(({ own, peers: theirs }) => [
      own.op,
      own.network,
      `${own.dims.batch}`,
      `${own.threads}`,
      ...peers.map((peer) => theirs.find((row) => row.peer === peer)?.ratio?.toPrecision(3) ?? ""),
    ]);
  return [
    "Peer time / axograd time (above 1, axograd is faster):",
    "",
    ...table(["operation", "network", "batch", "threads", ...peers], body),
    "",
  ];
}

function fitList(fits: readonly Fit[]): string[] {
  if (fits.length === 0) return [];
  const lines = fits.map(
    ({ op, against, at, exponent, points }) =>
      `- ${op}: time ∝ ${against}^${exponent.toFixed(2)} (${at}; ${points} points)`,
  );
  return ["Fitted exponents:", "", ...lines, ""];
}

function profileList(profiles: readonly StepProfileRecord[]): string[] {
  return profiles.flatMap((profile) => {
    const [title, ...lines] = describeProfile(profile);
    const { suite = "step", network, batch } = profile;
    return [
      `${suite === "step" ? "" : `${suite}, `}${network}, batch ${batch}: ${title}`,
      "",
      "```",
      ...lines,
      "```",
      "",
    ];
  });
}

function table(titles: readonly string[], body: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(titles), line(titles.map((_, i) => (i < 2 ? "---" : "---:"))), ...body.map(line)];
}

function number(x: number | null, digits: number): string {
  return x === null ? "" : x.toFixed(digits);
}

function giga(rate: number): string {
  return (rate / 1e9).toFixed(0);
}

function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(0);
}
