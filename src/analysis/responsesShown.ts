// What a page shows of responses: the strongest groups and the most selective ones, in as many numbers as figures draw.

import type { Responses } from "./responses.ts";

/** Rows of a figure. */
const MOST_ROWS = 60;
/** Conditions drawn side by side. */
const MOST_PANELS = 5;
const MOST_TIMES = 120;
const MOST_CURVES = 12;
const DIGITS = 6;

/** The responses that a page shows; numbers have six digits. */
export interface ShownResponses {
  readonly measure: string;
  /** What conditions go by; "": all samples are together. */
  readonly by: string;
  /** How many groups there are. */
  readonly groups: number;
  readonly failed: number;
  readonly withoutCondition: number;
  readonly conditions: readonly { readonly name: string; readonly value: number | null; readonly samples: number }[];
  /** Activity over time of the groups that deviate most from their activity before the input, in the order of all groups. */
  readonly activity: {
    /** Which conditions, by name, and how many samples each has. */
    readonly panels: readonly { readonly name: string; readonly samples: number }[];
    readonly times: readonly number[];
    readonly timeUnit: Responses["timeUnit"];
    /** `deviation` [panels, times]: mean activity minus that before the input. */
    readonly rows: readonly {
      readonly name: string;
      readonly neurons: number;
      readonly deviation: readonly number[];
    }[];
  };
  /** The most selective groups first; without those whose response does not vary. Empty: there is one condition. */
  readonly selectivity: readonly {
    readonly name: string;
    readonly neurons: number;
    readonly etaSquared: number;
    readonly epsilonSquared: number;
    readonly preferred: number;
    readonly index: number;
  }[];
  /** [conditions] each, of the most selective groups. */
  readonly tuning: readonly {
    readonly name: string;
    readonly response: readonly number[];
    readonly sd: readonly number[];
  }[];
}

/** What is shown of responses. */
export function shownResponses(responses: Responses): ShownResponses {
  const { measure, groups, conditions, samples, failed, withoutCondition } = responses;
  const order = bySelectivity(responses);
  const count = conditions.names.length;
  return {
    ...{ measure, by: conditions.by, groups: groups.length, failed, withoutCondition },
    conditions: conditions.names.map((name, c) => ({
      ...{ name, value: conditions.values ? rounded(conditions.values[c]!) : null, samples: samples[c]! },
    })),
    activity: shownActivity(responses),
    selectivity: order.slice(0, MOST_ROWS).map((g) => {
      const { etaSquared, epsilonSquared, preferred, index } = responses.selectivity[g]!;
      return {
        ...{ name: groups[g]!.name, neurons: groups[g]!.neurons.length, preferred },
        ...{ etaSquared: rounded(etaSquared), epsilonSquared: rounded(epsilonSquared), index: rounded(index) },
      };
    }),
    tuning: order.slice(0, MOST_CURVES).map((g) => ({
      name: groups[g]!.name,
      response: Array.from(responses.response.subarray(g * count, (g + 1) * count), rounded),
      sd: Array.from(responses.sdResponse.subarray(g * count, (g + 1) * count), rounded),
    })),
  };
}

/** Groups by the share of their variance that the condition explains: ε², or η² where there are too few samples for it. */
export function bySelectivity({ selectivity }: Pick<Responses, "selectivity">): number[] {
  const shares = selectivity.map(({ etaSquared, epsilonSquared }) =>
    Number.isNaN(epsilonSquared) ? etaSquared : epsilonSquared,
  );
  const known = Array.from(shares.keys()).filter((g) => !Number.isNaN(shares[g]));
  return known.sort((a, b) => shares[b]! - shares[a]! || a - b);
}

function shownActivity(responses: Responses): ShownResponses["activity"] {
  const { groups, conditions, times, timeUnit, samples, mean, baseline } = responses;
  const count = conditions.names.length;
  const timesDrawn = Math.min(times.length, MOST_TIMES);
  const drawn = Array.from({ length: timesDrawn }, (_, j) => Math.ceil(((j + 1) * times.length) / timesDrawn) - 1);
  const there = Array.from(samples.keys()).filter((c) => samples[c]! > 0);
  const total = samples.reduce((sum, n) => sum + n, 0);
  const at = (g: number, c: number, t: number): number => mean[(g * count + c) * times.length + t]!;
  const overall = (g: number, t: number): number =>
    there.reduce((sum, c) => sum + samples[c]! * at(g, c, t), 0) / total;
  const isAll = there.length > MOST_PANELS;
  const chosen = isAll
    ? Array.from(
        { length: MOST_PANELS - 1 },
        (_, k) => there[Math.round((k * (there.length - 1)) / (MOST_PANELS - 2))]!,
      )
    : there;
  const panels = [
    ...(isAll ? [{ name: "all samples", samples: total, value: overall }] : []),
    ...chosen.map((c) => ({
      ...{ name: conditions.names[c]!, samples: samples[c]! },
      value: (g: number, t: number) => at(g, c, t),
    })),
  ];
  const deviations = (g: number): number[] =>
    panels.flatMap(({ value }) => drawn.map((t) => value(g, t) - baseline[g]!));
  const strength = groups.map((_, g) => deviations(g).reduce((most, x) => Math.max(most, Math.abs(x)), 0));
  const strongest = Array.from(strength.keys())
    .sort((a, b) => strength[b]! - strength[a]! || a - b)
    .slice(0, MOST_ROWS);
  return {
    panels: panels.map(({ name, samples: n }) => ({ name, samples: n })),
    times: drawn.map((t) => times[t]!),
    timeUnit,
    rows: strongest
      .sort((a, b) => a - b)
      .map((g) => ({
        ...{ name: groups[g]!.name, neurons: groups[g]!.neurons.length },
        deviation: deviations(g).map(rounded),
      })),
  };
}

function rounded(x: number): number {
  return Number(x.toPrecision(DIGITS));
}
