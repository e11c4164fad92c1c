// Analyses of a run on its page: a section for each.

import type { AnalysisRecord } from "../../analysis/record.ts";
import { FileFormatError } from "../../core/errors.ts";
import { quoteText } from "../../core/text.ts";
import type { Figure } from "../figure.ts";
import { changesFigures } from "./changes.ts";
import { perturbFigures } from "./perturb.ts";
import { receptiveFieldFigures } from "./receptiveFields.ts";
import { responsesFigures } from "./responses.ts";
import { tuningFigures } from "./tuning.ts";

/** The figures of an analysis, from its record. @throws {FileFormatError} a part that is missing or wrong */
export type AnalysisFigures = (record: AnalysisRecord) => readonly Figure[];

interface Shown {
  /** Of the section on the page. */
  readonly title: string;
  readonly figures: AnalysisFigures;
}

/** By the kind of the record. */
export const ANALYSES: Readonly<Record<string, Shown>> = {
  responses: { title: "Responses", figures: responsesFigures },
  changes: { title: "How training changed the network", figures: changesFigures },
  "receptive-fields": { title: "Receptive fields", figures: receptiveFieldFigures },
  tuning: { title: "Direction tuning", figures: tuningFigures },
  perturb: { title: "Perturbed neurons", figures: perturbFigures },
};

/** A section of a page. */
export interface AnalysisSection {
  readonly title: string;
  readonly figures: readonly Figure[];
}

/** Sections about analyses, and what cannot be shown, a sentence each. */
export function analysisSections(found: readonly (AnalysisRecord | FileFormatError)[]): {
  readonly sections: readonly AnalysisSection[];
  readonly notes: readonly string[];
} {
  const sections: AnalysisSection[] = [];
  const notes: string[] = [];
  for (const record of found) {
    try {
      if (record instanceof FileFormatError) throw record;
      const shown = Object.hasOwn(ANALYSES, record.kind) ? ANALYSES[record.kind] : undefined;
      if (!shown) {
        notes.push(`This version cannot show the analysis ${record.name}, of the kind ${quoteText(record.kind)}.`);
        continue;
      }
      const own = record.name === record.kind ? shown.title : `${shown.title}: ${record.name}`;
      const figures = shown.figures(record).map((figure) => ({ ...figure, id: `${record.name}-${figure.id}` }));
      sections.push({ title: own, figures });
    } catch (error) {
      if (!(error instanceof FileFormatError)) throw error;
      notes.push(`An analysis cannot be shown: ${error.message}.`);
    }
  }
  return { sections, notes };
}
