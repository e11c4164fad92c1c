// A figure: one plot that can be drawn at any width, its words, and the numbers behind it.

import { escapeMarkup } from "../core/text.ts";
import { element } from "./svg.ts";
import { plotStyle } from "./theme.ts";

/** The numbers behind a plot, for those who cannot see it or want to copy them. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

/** What a plot came to at some width. */
export interface Drawing {
  readonly height: number;
  readonly body: string;
}

export interface Figure {
  /** Names the plot's file and its place in the page. */
  readonly id: string;
  readonly title: string;
  /** How to read it, in a sentence or two. */
  readonly caption: string;
  /** Share of a wide page. */
  readonly span: "third" | "half" | "full";
  /** @param uid  unlike that of any other drawing on the page: prefix of the ids in it */
  draw(width: number, uid: string): Drawing;
  readonly table: Table;
}

/** A figure that cannot be drawn, and why. */
export interface MissingFigure {
  readonly id: string;
  readonly title: string;
  readonly missing: string;
}

/** Widths in CSS pixels that figures are drawn for. */
export const WIDTHS = { third: 520, half: 520, full: 1080, narrow: 342 } as const;

/** The plot as an element of an HTML page, which has `plotStyle()`. */
export function inlineSvg(figure: Figure, width: number, className: string): string {
  const uid = `${figure.id}-${className}`;
  const { height, body } = figure.draw(width, uid);
  return element(
    "svg",
    {
      class: `plot ${className}`,
      viewBox: `0 0 ${width} ${Math.ceil(height)}`,
      role: "img",
      "aria-labelledby": `${uid}-title`,
      style: `max-width:${width}px`,
    },
    element("title", { id: `${uid}-title` }, escapeMarkup(`${figure.title}. ${figure.caption}`)),
    body,
  );
}

const PADDING = 20;
const TITLE_HEIGHT = 34;

/** The plot as an SVG file that needs nothing else. */
export function standaloneSvg(figure: Figure): string {
  const inner = WIDTHS[figure.span];
  const drawing = figure.draw(inner, figure.id);
  const width = inner + 2 * PADDING;
  const height = Math.ceil(drawing.height) + 2 * PADDING + TITLE_HEIGHT;
  return `<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title description">
<title id="title">${escapeMarkup(figure.title)}</title>
<desc id="description">${escapeMarkup(figure.caption)}</desc>
<style>${plotStyle()}</style>
<rect class="page" width="${width}" height="${height}"/>
<text class="title" x="${PADDING}" y="${PADDING + 14}">${escapeMarkup(figure.title)}</text>
<g transform="translate(${PADDING} ${PADDING + TITLE_HEIGHT})">${drawing.body}</g>
</svg>
`;
}
