// Tables as text for a terminal, and as Markdown.

export function textOf(tables) {
  return tables
    .map(({ title, columns, rows, lines }) => [`== ${title}`, ...(lines ?? aligned([columns, ...rows]))].join("\n"))
    .join("\n\n");
}

export function markdownOf(tables) {
  return tables
    .map(({ title, columns, rows, lines }) => [`### ${title}`, "", ...(lines ?? piped(columns, rows))].join("\n"))
    .join("\n\n");
}

function aligned(table) {
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  return table.map((row) => `  ${row.map((cell, column) => pad(cell, widths[column])).join("  ")}`.trimEnd());
}

/** Aligns numbers, with their units, to the right. */
const NUMBER = /^([\d.e+-]+( %| \([\d.]+\))?)$/;

function pad(cell, width) {
  return NUMBER.test(cell) ? cell.padStart(width) : cell.padEnd(width);
}

function piped(columns, rows) {
  const line = (cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(columns), `|${" --- |".repeat(columns.length)}`, ...rows.map(line)];
}
