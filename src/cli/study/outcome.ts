// The outcome of a study: its verdicts, from the results of its runs.

import { join } from "node:path";
import type { HashedFile } from "../../io/hash.ts";
import { nullIfMissing, readRunStart } from "../../report/runRecord.ts";
import { type JudgedMeasure, verdictSentence } from "../../report/verdicts.ts";
import { RUN_FILES } from "../../run/runFiles.ts";
import {
  type Comparison,
  compare,
  type PairedRuns,
  type Verdict,
  type VerdictRules,
  verdicts,
} from "../../stats/verdict.ts";
import type { Measure, MeasureKey, RunResult, SweepResults } from "../sweep/results.ts";
import type { SweepFolder } from "../sweep/sweepFolder.ts";
import { type Arm, keysOf, REAL } from "./arms.ts";
import type { Deviation } from "./design.ts";
import type { ProtocolFile } from "./protocol.ts";
import type { Study } from "./study.ts";

/** A measure that a network is judged by. */
type Judged = Measure & JudgedMeasure;

export interface Outcome {
  readonly study: Pick<Study, "design"> & {
    readonly protocol: Pick<ProtocolFile, "protocol" | "sha256"> | null;
  };
  /** What the verdicts are about. */
  readonly measure: Judged;
  readonly rules: VerdictRules;
  /** One per control, each with its sentence. */
  readonly verdicts: readonly (Verdict & { readonly sentence: string })[];
  /** All measures of quality with each control, uncorrected: for reading, not for claims. */
  readonly comparisons: readonly (Comparison & { readonly measure: MeasureKey })[];
  /** Those on record, and those found in the runs. */
  readonly deviations: readonly Deviation[];
}

/** @returns null: no run has been evaluated on the samples of the verdict */
export async function outcomeOf(folder: SweepFolder, study: Study, results: SweepResults): Promise<Outcome | null> {
  const { design } = study;
  const judged = results.measures.filter((it): it is Judged => it.better !== null && hasValues(results, it.key));
  const wanted = design.metric === null ? null : `${design.split} ${design.metric}`;
  const measure = judged.find(({ key, name }) => (wanted === null ? key.startsWith(design.split) : name === wanted));
  if (!measure) return null;
  const rules: VerdictRules = { ...rulesOf(study), better: measure.better };
  const pairs = (key: MeasureKey): PairedRuns[] =>
    design.controls.map((control) => pairsOf(results, study, control, key));
  const found = await deviationsInRuns(folder, study, results);
  const { protocol } = study;
  return {
    study: { design, protocol: protocol && { sha256: protocol.sha256, protocol: protocol.protocol } },
    measure,
    rules,
    verdicts: verdicts(pairs(measure.key), rules).map((verdict) => ({
      ...verdict,
      sentence: verdictSentence(verdict, measure, rules),
    })),
    comparisons: judged.flatMap(({ key }) =>
      pairs(key).map((runs) => ({ measure: key, ...compare(runs, design.alpha) })),
    ),
    deviations: [...study.deviations, ...found],
  };
}

function rulesOf({ design: { alpha, smallestEffect, allowMissing } }: Study): Omit<VerdictRules, "better"> {
  return { alpha, smallestEffect, allowMissing };
}

function hasValues({ runs }: SweepResults, key: MeasureKey): boolean {
  return runs.some((run) => run.status === "finished" && run[key] !== null);
}

/** The pairs of a control: every seed of the design, whatever became of its runs. */
function pairsOf(results: SweepResults, { design }: Study, control: Arm, key: MeasureKey): PairedRuns {
  const keys = keysOf([REAL, ...design.controls]);
  const textOf = (options: Readonly<Record<string, unknown>>): string => JSON.stringify(keys.map((k) => options[k]));
  const value = ({ options }: Arm, seed: number): number | null => {
    const own = (run: RunResult): boolean => run.seed === seed && textOf(run.options) === textOf(options);
    const run = results.runs.find(own);
    return run?.status === "finished" ? (run[key] ?? null) : null;
  };
  return {
    control: control.name,
    pairs: design.seeds.map((seed) => ({ seed, real: value(REAL, seed), control: value(control, seed) })),
  };
}

/** Runs that read other files, or were made by another version, than the protocol says; without one, than the first of them. */
async function deviationsInRuns(
  folder: SweepFolder,
  { protocol }: Study,
  { runs }: SweepResults,
): Promise<Deviation[]> {
  let planned: { version: string; files: readonly HashedFile[] | null } | null = protocol && {
    version: protocol.protocol.axograd,
    files: protocol.protocol.inputs,
  };
  const found: Deviation[] = [];
  for (const { run, status } of runs) {
    if (status !== "finished") continue;
    const start = await nullIfMissing(readRunStart(join(folder.run(run), RUN_FILES.config)));
    if (!start) continue;
    planned ??= { version: start.version, files: start.files };
    const note = (what: string, before: string, now: string): void => {
      if (before !== now) {
        found.push({ what: `run ${run}: ${what}`, planned: before, actual: now, reason: null, date: null });
      }
    };
    note("axograd", planned.version, start.version);
    note("files", hashesOf(planned.files), hashesOf(start.files));
  }
  return found;
}

function hashesOf(files: readonly HashedFile[] | null): string {
  if (files === null || files.length === 0) return "none";
  return files.map(({ role, sha256 }) => `${role} ${sha256}`).join(", ");
}
