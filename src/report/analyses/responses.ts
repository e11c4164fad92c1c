// Responses of groups of neurons on the page of a run.

import type { AnalysisRecord } from "../../analysis/record.ts";
import type { ShownResponses } from "../../analysis/responsesShown.ts";
import type { JsonParts } from "../../io/jsonParts.ts";
import type { Figure } from "../figure.ts";
import { groupActivityFigure } from "../plots/groupActivity.ts";
import { selectivityFigure } from "../plots/selectivityBars.ts";
import { tuningFigure } from "../plots/tuningCurves.ts";

/** Activity over time, and where there are conditions tuning curves and selectivity. */
export function responsesFigures({ result }: AnalysisRecord): readonly Figure[] {
  const shown = readShown(result);
  const activity = groupActivityFigure(shown);
  if (shown.selectivity.length === 0) return [activity];
  return [activity, tuningFigure(shown), selectivityFigure(shown)];
}

/** @throws {FileFormatError} a part that is missing or wrong */
function readShown(result: JsonParts): ShownResponses {
  const conditions = result.objects("conditions").map((part) => ({
    name: part.text("name"),
    value: part.numberOrNull("value"),
    samples: part.count("samples"),
  }));
  if (conditions.length === 0) throw result.error("conditions", "at least one condition");
  return {
    measure: result.text("measure"),
    by: result.text("by"),
    groups: result.count("groups", 1),
    failed: result.count("failed"),
    withoutCondition: result.count("withoutCondition"),
    conditions,
    activity: readActivity(result.object("activity")),
    selectivity: result.objects("selectivity").map((part) => {
      const preferred = part.number("preferred", { least: -1, most: conditions.length - 1 });
      if (!Number.isInteger(preferred)) throw part.error("preferred", "a whole number");
      return {
        name: part.text("name"),
        neurons: part.count("neurons", 1),
        etaSquared: part.numberOrNaN("etaSquared"),
        epsilonSquared: part.numberOrNaN("epsilonSquared"),
        preferred,
        index: part.numberOrNaN("index"),
      };
    }),
    tuning: result.objects("tuning").map((part) => ({
      name: part.text("name"),
      response: part.numbersOrNaN("response", conditions.length),
      sd: part.numbersOrNaN("sd", conditions.length),
    })),
  };
}

function readActivity(part: JsonParts): ShownResponses["activity"] {
  const panels = part.objects("panels").map((own) => ({ name: own.text("name"), samples: own.count("samples") }));
  const times = part.numbersOrNaN("times");
  const timeUnit = part.oneOf("timeUnit", ["t", "step"]);
  if (panels.length === 0) throw part.error("panels", "at least one panel");
  if (times.length === 0) throw part.error("times", "at least one time");
  const rows = part.objects("rows").map((own) => ({
    name: own.text("name"),
    neurons: own.count("neurons", 1),
    deviation: own.numbersOrNaN("deviation", panels.length * times.length),
  }));
  if (rows.length === 0) throw part.error("rows", "at least one group");
  return { panels, times, timeUnit, rows };
}
