// The outcome of a study as text, as Markdown and as a page: protocol and outcome side by side, deviations in plain sight.

import { alignColumns, escapeMarkdown, markdownTable } from "../../core/text.ts";
import type { Table } from "../../report/figure.ts";
import { type KeyNumber, page } from "../../report/page.ts";
import { differencesFigure } from "../../report/plots/differences.ts";
import { verdictTable } from "../../report/verdicts.ts";
import { type Deviation, designTexts } from "./design.ts";
import type { Outcome } from "./outcome.ts";
import { protocolTexts } from "./protocol.ts";

/** How the verdicts came about, in a line. */
function method({ measure, rules, verdicts }: Outcome): string {
  const direction = `${measure.better} is better`;
  const level = `level ${rules.alpha}, Holm over ${verdicts.length}`;
  return `Verdict on ${measure.name} (${direction}): paired t over seeds, ${level}. Intervals are not corrected: each is of its comparison alone.`;
}

function protocolLine({ study: { protocol } }: Outcome): string {
  if (protocol === null) return "No protocol was written before the runs.";
  return `Protocol of ${protocol.protocol.created}, SHA-256 ${protocol.sha256}.`;
}

function deviationText({ what, planned, actual, reason, date }: Deviation): string {
  const when = date === null ? "found in the runs" : `on ${date}`;
  const why = reason === null ? "no reason given" : `reason: ${reason}`;
  return `Deviation, ${what}: ${actual} in place of ${planned} (${when}; ${why}).`;
}

function linesOf(outcome: Outcome): string[] {
  return [protocolLine(outcome), ...outcome.deviations.map(deviationText), method(outcome)];
}

/** For a terminal. */
export function outcomeText(outcome: Outcome): string {
  const { columns, rows } = verdictTable(outcome.verdicts, outcome.measure, outcome.rules);
  const table = alignColumns([columns, ...rows.map((row) => row.map(String))]);
  const sentences = outcome.verdicts.map(({ sentence }) => sentence);
  return ["", ...linesOf(outcome), "", ...table, "", ...sentences, ""]
    .map((line) => `${line}\n`)
    .join("")
    .slice(0, -1);
}

/** What was planned beside what came: the whole protocol, then the verdicts. */
function sideBySide(outcome: Outcome): Table {
  const { study, verdicts, deviations, measure } = outcome;
  const planned = study.protocol ? protocolTexts(study.protocol.protocol) : designTexts(study.design);
  const outcomeOf = (name: string): string => {
    const other = deviations.filter(({ what }) => what === name);
    if (other.length > 0) return other.map(({ actual }) => `deviation: ${actual}`).join("; ");
    const verdict = verdicts.find(({ control }) => name === `control ${control}`);
    if (verdict) return verdict.sentence;
    if (name === "metric") return measure.name;
    return name.startsWith("setting ") || name.startsWith("input ") ? "the same" : "as planned";
  };
  const names = Object.keys(planned);
  const added = deviations.filter(({ what }) => !names.includes(what));
  return {
    columns: ["", study.protocol ? "protocol" : "design (no protocol)", "outcome"],
    rows: [
      ...names.map((name) => [name, planned[name]!, outcomeOf(name)]),
      ...added.map(({ what, planned: before, actual }) => [what, before, `deviation: ${actual}`]),
    ],
  };
}

/** A part of results.md. */
export function outcomeMarkdown(outcome: Outcome): string {
  const table = ({ columns, rows }: Table): string => markdownTable(columns, rows);
  const { question } = outcome.study.design;
  const list = (texts: readonly string[]): string => texts.map((text) => `- ${escapeMarkdown(text)}\n`).join("");
  return `
## Verdict

${question === null ? "" : `${escapeMarkdown(question)}\n\n`}${list(outcome.verdicts.map(({ sentence }) => sentence))}
${list(linesOf(outcome))}
${table(verdictTable(outcome.verdicts, outcome.measure, outcome.rules))}
## Protocol and outcome

${table(sideBySide(outcome))}`;
}

/** The page of a study. @param name  of its folder */
export function outcomePage(outcome: Outcome, name: string): string {
  const { study, verdicts, measure, rules, deviations } = outcome;
  const keyNumbers: KeyNumber[] = [
    { value: `${study.design.seeds.length}`, name: "seeds" },
    { value: `${verdicts.length}`, name: "controls" },
    { value: `${deviations.length}`, name: study.protocol ? "deviations from the protocol" : "changes" },
  ];
  return page({
    kind: "axograd controls",
    title: study.design.question ?? "What the wiring is worth",
    subtitle: `study ${name}`,
    notes: [protocolLine(outcome), ...deviations.map(deviationText)],
    statements: [...verdicts.map(({ sentence }) => sentence), method(outcome)],
    keyNumbers,
    sections: [
      { title: "Differences", figures: [differencesFigure(verdicts, measure, rules)] },
      { title: "Verdicts", figures: [], table: verdictTable(verdicts, measure, rules) },
      { title: "Protocol and outcome", figures: [], table: sideBySide(outcome) },
    ],
    facts: [],
  });
}
