// The style sheet of the report's page.

import { DARK, FONT, LIGHT, type Palette, plotStyle } from "./theme.ts";

function variables(palette: Palette): string {
  return Object.entries(palette)
    .map(([name, colour]) => `--${name}: ${colour};`)
    .join(" ");
}

/** Figures stand side by side on wide pages; plots have their wide form where it fits: 520 px, or 1080 px for those of full width. */
export function pageStyle(): string {
  return `:root { color-scheme: light dark; ${variables(LIGHT)} }
@media (prefers-color-scheme: dark) { :root { ${variables(DARK)} } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0 auto; padding: 48px 24px 96px; max-width: 1144px; background: var(--page); color: var(--ink); font: 16px/1.5 ${FONT}; }
p, h1, h2, h3, dl, dd, figure { margin: 0; }
.kind { color: var(--soft); font-size: 13px; letter-spacing: 0.08em; text-transform: uppercase; }
h1 { margin-top: 4px; font-size: clamp(26px, 4vw, 38px); line-height: 1.15; letter-spacing: -0.015em; text-wrap: balance; overflow-wrap: anywhere; }
.subtitle { margin-top: 6px; color: var(--soft); overflow-wrap: anywhere; }
.note { margin-top: 16px; padding: 10px 14px; border-left: 3px solid var(--orange); background: var(--raised); border-radius: 0 6px 6px 0; }
.statement { margin-top: 16px; max-width: 72ch; font-size: 18px; }
.key-numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 1px; margin-top: 32px; border-block: 1px solid var(--grid); }
.key-numbers div { display: flex; flex-direction: column-reverse; justify-content: flex-end; padding: 16px 16px 14px 0; }
.key-numbers dt { color: var(--soft); font-size: 13px; }
.key-numbers dd { font-size: 26px; font-weight: 600; line-height: 1.2; letter-spacing: -0.01em; font-variant-numeric: tabular-nums; white-space: nowrap; }
section { margin-top: 64px; }
h2 { padding-bottom: 10px; border-bottom: 1px solid var(--grid); font-size: 22px; letter-spacing: -0.01em; }
h3 { font-size: 16px; }
.figures { display: grid; grid-template-columns: minmax(0, 1fr); gap: 48px 32px; margin-top: 28px; }
figure, .facts { display: flex; flex-direction: column; min-width: 0; }
figcaption { max-width: 68ch; margin-top: 4px; color: var(--soft); font-size: 14px; line-height: 1.45; }
.missing p { margin-top: 4px; color: var(--soft); font-size: 14px; }
svg.plot { display: block; width: 100%; height: auto; margin-top: 20px; overflow: visible; }
svg.wide { display: none; }
@media (min-width: 568px) { .half > svg.wide, .third > svg.wide { display: block; } .half > svg.narrow, .third > svg.narrow { display: none; } }
@media (min-width: 940px) { .full > svg.wide { display: block; } .full > svg.narrow { display: none; } }
@media (min-width: 1128px) {
  .figures { grid-template-columns: repeat(6, minmax(0, 1fr)); }
  .third { grid-column: span 2; }
  .third > svg.wide { display: none; }
  .third > svg.narrow { display: block; }
  .half { grid-column: span 3; }
  .full { grid-column: 1 / -1; }
}
details { margin-top: 14px; font-size: 13px; }
summary { width: fit-content; color: var(--soft); cursor: pointer; }
summary:hover { color: var(--ink); }
:focus-visible { outline: 2px solid var(--blue); outline-offset: 3px; border-radius: 2px; }
.scroll { margin-top: 8px; max-height: 320px; overflow: auto; border: 1px solid var(--grid); border-radius: 6px; }
table { width: 100%; border-collapse: collapse; font-size: 13px; line-height: 1.4; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 12px; text-align: left; font-weight: 400; vertical-align: top; }
thead th { position: sticky; top: 0; background: var(--raised); font-weight: 600; white-space: nowrap; }
tbody tr + tr { border-top: 1px solid var(--grid); }
.facts dl { margin-top: 10px; columns: 320px; column-gap: 32px; font-size: 13px; font-variant-numeric: tabular-nums; }
.facts dl div { display: grid; grid-template-columns: 45% minmax(0, 1fr); gap: 16px; padding: 5px 0; border-top: 1px solid var(--grid); break-inside: avoid; }
.facts dt { color: var(--soft); }
.facts dd { overflow-wrap: anywhere; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media print { body { max-width: none; padding: 0; } figure { break-inside: avoid; } }
${plotStyle()}`;
}
