// Lines for the terminal.

import type { Fit, Roofline, Row } from "../row.ts";

const COLUMNS: readonly (readonly [title: string, width: number, cell: (row: Row) => string])[] = [
  ["op", 16, (r) => r.op],
  ["network", 10, (r) => r.network],
  ["backend", 14, (r) => r.backend],
  ["batch", 5, (r) => (r.dims.batch > 0 ? `${r.dims.batch}` : "")],
  ["threads", 7, (r) => `${r.threads}`],
  ["median", 10, (r) => seconds(r.medianS)],
  ["min", 10, (r) => seconds(r.minS)],
  ["± %", 5, (r) => fixed(r.rmePct, 1)],
  ["GFLOP/s", 8, (r) => fixed(r.gflops, 2)],
  ["GB/s", 7, (r) => fixed(r.gbps, 2)],
  ["roofline", 8, (r) => (r.fractionOfRoofline === null ? "" : `${fixed(100 * r.fractionOfRoofline, 0)} %`)],
  ["peer/ours", 9, (r) => fixed(r.ratio, 2)],
];

export function rowHeader(): string {
  return line(COLUMNS.map(([title]) => title));
}

export function rowLine(row: Row): string {
  return line(COLUMNS.map(([, , cell]) => cell(row)));
}

export function rooflineLine({ threads, flops, copy, levels }: Roofline): string {
  const rates = levels.map(({ name, bandwidth }) => `${name} ${giga(bandwidth)} GB/s`).join(", ");
  return `roofline, ${threads} threads: multiply-add ${giga(flops)} GFLOP/s; read ${rates}; copy ${giga(copy)} GB/s`;
}

export function fitLine({ op, against, at, exponent, points }: Fit): string {
  return `time of ${op} ∝ ${against}^${exponent.toFixed(2)}  (${at}; ${points} points)`;
}

/** "1.23 ms". */
export function seconds(s: number): string {
  if (s >= 1) return `${s.toPrecision(3)} s`;
  return s >= 1e-3 ? `${(1e3 * s).toPrecision(3)} ms` : `${(1e6 * s).toPrecision(3)} µs`;
}

function giga(rate: number): string {
  return (rate / 1e9).toPrecision(3);
}

function fixed(x: number | null, digits: number): string {
  return x === null ? "" : x.toFixed(digits);
}

/** The first three columns are words, the others numbers. */
function line(cells: readonly string[]): string {
  return cells.map((cell, i) => (i < 3 ? cell.padEnd(COLUMNS[i]![1]) : cell.padStart(COLUMNS[i]![1]))).join("  ");
}
