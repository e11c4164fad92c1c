// Growth of times: power laws through medians of axograd's rows.

import type { Fit, Row } from "../row.ts";
import { fittedExponent } from "../stats.ts";

/** Operations whose work is per connection; the others depend on the neurons. */
const PER_CONNECTION = [
  "spmm",
  "spmmT+grad",
  "rhs",
  "solve",
  "step",
  "discrete",
  "adam",
  "csr.refresh",
  "load.read",
  "load.upload",
  "startup",
];

/** Any two points lie on a power law. */
const MIN_POINTS = 3;

/** Exponents of time against connections (same batch) and against batch (same network), for every operation with enough points. */
export function fitsOf(rows: readonly Row[]): Fit[] {
  const own = rows.filter((row) => row.peer === null && !/^(step|discrete|frozen)\./.test(row.op));
  return [
    ...fits(
      own.filter((row) => PER_CONNECTION.includes(row.op)),
      "connections",
      ({ dims, threads }) => `${dims.batch > 0 ? `batch ${dims.batch}, ` : ""}${threads} threads`,
    ),
    ...fits(
      own.filter((row) => row.dims.batch > 0),
      "batch",
      ({ network, threads }) => `${network}, ${threads} threads`,
    ),
  ];
}

function fits(rows: readonly Row[], against: Fit["against"], fixed: (row: Row) => string): Fit[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = `${row.op}|${fixed(row)}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].flatMap((group) => {
    if (new Set(group.map((row) => row.dims[against])).size < MIN_POINTS) return [];
    const exponent = fittedExponent(group.map((row) => [row.dims[against], row.medianS]));
    const [first] = group;
    return exponent === null || !first
      ? []
      : [{ op: first.op, against, at: fixed(first), exponent, points: group.length }];
  });
}
