// The page of a report: one HTML document without scripts or requests, for wide and narrow screens, light and dark.

import { formatCount, formatNumber } from "../core/format.ts";
import { escapeMarkup, quoteValue, shortened } from "../core/text.ts";
import { type Figure, inlineSvg, type MissingFigure, type Table, WIDTHS } from "./figure.ts";
import { readableName } from "./names.ts";
import { pageStyle } from "./pageStyle.ts";
import { type Attributes, element } from "./svg.ts";

export interface KeyNumber {
  readonly value: string;
  readonly name: string;
}

export interface PageParts {
  /** Above the title. Default: "axograd run". */
  readonly kind?: string;
  readonly title: string;
  readonly subtitle: string;
  /** Notes at the top, such as that the run is unfinished. */
  readonly notes: readonly string[];
  /** What was found, in sentences, before the numbers. */
  readonly statements?: readonly string[];
  readonly keyNumbers: readonly KeyNumber[];
  readonly sections: readonly PageSection[];
  /** Tables of names and values at the end. */
  readonly facts: readonly FactsPart[];
}

/** Figures, then a table. */
export interface PageSection {
  readonly title: string;
  readonly figures: readonly (Figure | MissingFigure)[];
  readonly table?: Table;
}

/** Names and values, and perhaps a table below them. */
export interface FactsPart {
  readonly title: string;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly table?: Table;
}

/** Longest text among the facts: a path fits. */
const FACT_LENGTH = 4096;
/** Longer lists of facts run in columns over the whole page. */
const LONG_LIST = 20;
/** Makes the browser enforce that nothing is loaded. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

export function page(parts: PageParts): string {
  const { kind = "axograd run", title, subtitle, notes, statements = [], keyNumbers, sections, facts } = parts;
  const figures = sections.map(({ title: name, figures: own, table }) =>
    section(
      name,
      container("div", { class: "figures" }, ...own.map((f) => ("missing" in f ? missingFigure(f) : figure(f)))) +
        (table ? dataTable(table) : ""),
    ),
  );
  const lists = facts.map(({ title: name, facts: own, table }) =>
    element(
      "div",
      { class: `facts ${Object.keys(own).length > LONG_LIST ? "full" : "half"}` },
      element("h3", {}, escapeMarkup(name)),
      factList(own),
      ...(table ? [dataTable(table)] : []),
    ),
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<link rel="icon" href="data:,">
<title>${escapeMarkup(title)} · axograd</title>
<style>
${pageStyle()}
</style>
</head>
<body>
<header>
<p class="kind">${escapeMarkup(kind)}</p>
<h1>${escapeMarkup(title)}</h1>
<p class="subtitle">${escapeMarkup(subtitle)}</p>
${notes.map((note) => element("p", { class: "note", role: "note" }, escapeMarkup(note))).join("\n")}
${statements.map((text) => element("p", { class: "statement" }, escapeMarkup(text))).join("\n")}
<dl class="key-numbers">
${keyNumbers.map(({ value, name }) => `<div><dt>${escapeMarkup(name)}</dt><dd>${escapeMarkup(value)}</dd></div>`).join("\n")}
</dl>
</header>
<main>
${figures.join("\n")}
${lists.length === 0 ? "" : section("Provenance", element("div", { class: "figures" }, ...lists))}
</main>
</body>
</html>
`;
}

/** An element that may be empty: HTML knows no `<div/>`, and would take what follows as its content. */
function container(name: string, attributes: Attributes, ...children: readonly string[]): string {
  return element(name, attributes, children.join(""));
}

function section(title: string, content: string): string {
  const id = title.toLowerCase().replaceAll(" ", "-");
  return `<section aria-labelledby="${id}">\n<h2 id="${id}">${escapeMarkup(title)}</h2>\n${content}\n</section>`;
}

/** The plot at two widths, one of which the style sheet shows, and its data. */
function figure(it: Figure): string {
  return `<figure id="figure-${it.id}" class="${it.span}">
<h3>${escapeMarkup(it.title)}</h3>
<figcaption>${escapeMarkup(it.caption)}</figcaption>
${inlineSvg(it, WIDTHS[it.span], "wide")}
${inlineSvg(it, WIDTHS.narrow, "narrow")}
<details><summary>Data<span class="hidden"> of ${escapeMarkup(it.title)}</span></summary>${dataTable(it.table)}</details>
</figure>
`;
}

function missingFigure({ id, title, missing }: MissingFigure): string {
  return `<figure id="figure-${id}" class="half missing"><h3>${escapeMarkup(title)}</h3><p>${escapeMarkup(missing)}</p></figure>`;
}

function dataTable({ columns, rows }: Table): string {
  const head = columns.map((name) => element("th", { scope: "col" }, escapeMarkup(name)));
  const body = rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, escapeMarkup(`${cell}`)))));
  // The table scrolls separately, and by keyboard, too.
  return `<div class="scroll" tabindex="0"><table><thead><tr>${head.join("")}</tr></thead><tbody>${body.join("\n")}</tbody></table></div>`;
}

function factList(facts: Readonly<Record<string, unknown>>): string {
  const entries = Object.entries(facts).map(([name, value]) =>
    element(
      "div",
      {},
      element("dt", {}, escapeMarkup(readableName(name))),
      element("dd", {}, escapeMarkup(textOf(value))),
    ),
  );
  return container("dl", {}, ...entries);
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") {
    return Number.isInteger(value) ? formatCount(value) : formatNumber(value);
  }
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "string" ? shortened(value, FACT_LENGTH) : quoteValue(value);
}
