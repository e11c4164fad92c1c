// A figure: a plot that can be drawn at any width, its title and caption, and its data.

import { escapeMarkup } from "../core/text.ts";
import { at, element, fitted, label } from "./svg.ts";
import { plotStyle } from "./theme.ts";

/** The data of a plot, for readers who cannot see it or want to copy it. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

/** A plot drawn at some width. */
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
  /** @param uid  unique on the page: prefix of the ids in the drawing */
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
const STACK_GAP = 16;

/** The plot as an SVG file that needs nothing else. */
export function standaloneSvg(figure: Figure): string {
  const { height, body } = figure.draw(WIDTHS[figure.span], figure.id);
  return svgFile(figure.title, figure.caption, WIDTHS[figure.span], { height, body });
}

/**
 * Plots one below the other, under a common title, as one SVG file that needs nothing else.
 *
 * @param options.titles  each has its own title, too
 */
export function stackedSvg(
  title: string,
  figures: readonly Figure[],
  { titles = false }: { readonly titles?: boolean } = {},
): string {
  const width = Math.max(...figures.map(({ span }) => WIDTHS[span]));
  let height = 0;
  const body = figures.map((figure) => {
    const drawing = figure.draw(width, figure.id);
    const own = titles ? [label(0, height + 14, fitted(figure.title, width), { class: "strong" })] : [];
    height += own.length * TITLE_HEIGHT;
    const placed = at(0, height, drawing.body);
    height += drawing.height + STACK_GAP;
    return [...own, placed].join("");
  });
  const captions = figures.map((figure) => `${figure.title}. ${figure.caption}`);
  return svgFile(title, captions.join(" "), width, { height: height - STACK_GAP, body: body.join("") });
}

function svgFile(title: string, description: string, innerWidth: number, { height, body }: Drawing): string {
  const width = innerWidth + 2 * PADDING;
  const fullHeight = Math.ceil(height) + 2 * PADDING + TITLE_HEIGHT;
  return `<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 ${width} ${fullHeight}" width="${width}" height="${fullHeight}" role="img" aria-labelledby="title description">
<title id="title">${escapeMarkup(title)}</title>
<desc id="description">${escapeMarkup(description)}</desc>
<style>${plotStyle()}</style>
<rect class="page" width="${width}" height="${fullHeight}"/>
<text class="title" x="${PADDING}" y="${PADDING + 14}">${escapeMarkup(fitted(title, innerWidth, 15))}</text>
${at(PADDING, PADDING + TITLE_HEIGHT, body)}
</svg>
`;
}
