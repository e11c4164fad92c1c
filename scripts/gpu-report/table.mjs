// The table for people.

const COLUMNS = [
  ["work", (row) => row.work],
  ["batch", (row) => `${row.batch}`],
  ["ms", (row) => number(row.wallMs)],
  ["device ms", (row) => number(row.deviceMs)],
  ["TFLOP/s", (row) => number(row.tflops)],
  ["GB/s", (row) => number(row.gbPerS)],
  ["gathered GB/s", (row) => number(row.gatheredGbPerS)],
  ["dispatches", (row) => `${row.dispatches}`],
  ["waiting", (row) => (row.waiting === null ? "-" : `${(100 * row.waiting).toFixed(0)} %`)],
];

/** @returns {string} one table per network */
export function tableOf({ adapter, networks }) {
  const device =
    adapter === null
      ? "no adapter"
      : adapter.isSoftware
        ? `SOFTWARE ADAPTER, not a GPU: ${adapter.name}. Its times say nothing about any GPU.`
        : `${adapter.name}, ${adapter.driver}`;
  const lines = [`== times on ${device}`];
  for (const { neurons, synapses, rows } of networks) {
    const good = rows.filter((row) => row.error === null);
    lines.push("", `${neurons} neurons, ${synapses} synapses`);
    if (good.length > 0) lines.push(...aligned([COLUMNS.map(([title]) => title), ...good.map(cells)]));
    for (const row of rows) if (row.error !== null) lines.push(`  batch ${row.batch}, ${row.work}: ${row.error}`);
  }
  lines.push(
    "",
    "TFLOP/s: sparse products alone. GB/s: every operand once; gathered: what products read row by row, most of it from cache.",
    "Rates are per device time where there are timestamp queries. waiting: part of the time in which the device has nothing to do.",
  );
  return lines.join("\n");
}

function cells(row) {
  return COLUMNS.map(([, text]) => text(row));
}

function aligned(table) {
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  return table.map(
    (row) => `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ")}`,
  );
}

/** Three significant digits. */
function number(x) {
  return x === null ? "-" : `${Number(x.toPrecision(3))}`;
}
