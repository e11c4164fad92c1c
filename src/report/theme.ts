// Colours and type of all plots, for light and dark pages. Blue, orange and purple stay apart for every common kind of colour
// blindness (after Okabe & Ito, Color Universal Design, 2008); no plot relies on colour alone.

export interface Palette {
  readonly page: string;
  /** Behind tiles and tables. */
  readonly raised: string;
  readonly ink: string;
  readonly soft: string;
  readonly grid: string;
  /** Training, excitation, what is right. */
  readonly blue: string;
  /** Validation, inhibition, what is wrong. */
  readonly orange: string;
  /** Test. */
  readonly purple: string;
}

export const LIGHT: Palette = {
  page: "#ffffff",
  raised: "#f5f7f9",
  ink: "#1b2530",
  soft: "#596673",
  grid: "#e3e8ec",
  blue: "#0b66b5",
  orange: "#c8500a",
  purple: "#8a3a92",
};

export const DARK: Palette = {
  page: "#11161b",
  raised: "#1a2128",
  ink: "#e8ecf0",
  soft: "#a0acb8",
  grid: "#2b343d",
  blue: "#5cb0f6",
  orange: "#f49a5a",
  purple: "#d79ade",
};

export const FONT =
  'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Open Sans", "Noto Sans", Arial, sans-serif';

/** Plain colours, as SVG viewers other than browsers do not support CSS variables. */
function colours({ page, ink, soft, grid, ...series }: Palette): string {
  const hues = Object.entries({ ink, blue: series.blue, orange: series.orange, purple: series.purple });
  return `.plot .page { fill: ${page}; }
.plot text { fill: ${ink}; }
.plot text.soft { fill: ${soft}; }
.plot text.reverse { fill: ${page}; }
.plot .grid { stroke: ${grid}; }
.plot .axis, .plot .guide { stroke: ${soft}; }
.plot .dot { stroke: ${page}; }
${hues.map(([name, c]) => `.plot .line.${name} { stroke: ${c}; }\n.plot .fill.${name}, .plot text.${name} { fill: ${c}; }`).join("\n")}`;
}

/** The style sheet of plots: in the page once, and in every SVG file. */
export function plotStyle(): string {
  return `.plot text { font: 12px ${FONT}; font-variant-numeric: tabular-nums; }
.plot text.title { font-size: 15px; font-weight: 600; }
.plot text.strong { font-weight: 600; }
.plot text.small { font-size: 10.5px; }
.plot .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.plot .thin { stroke-width: 1; }
.plot .faint { opacity: 0.35; }
.plot .tint { opacity: 0.18; }
.plot .dashed { stroke-dasharray: 5 3; stroke-linecap: butt; }
.plot .guide { stroke-dasharray: 1.5 4; stroke-linecap: round; fill: none; }
.plot .dot { stroke-width: 1.5; }
.plot image { image-rendering: pixelated; }
${colours(LIGHT)}
@media (prefers-color-scheme: dark) {
${colours(DARK)}
}`;
}
