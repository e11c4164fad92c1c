// The ready-made metrics by name. A new one is a file here and a line of the table.

import { ArgumentError, nearestName } from "../../../core/errors.ts";
import type { Metric } from "../task.ts";
import { accuracy } from "./accuracy.ts";
import { balancedAccuracy } from "./balancedAccuracy.ts";
import { binaryAccuracy } from "./binaryAccuracy.ts";
import { correlation } from "./correlation.ts";
import { endpointError } from "./endpointError.ts";
import { meanAbsoluteError } from "./meanAbsoluteError.ts";
import { meanSquaredError } from "./meanSquaredError.ts";
import { r2 } from "./r2.ts";

/** The ready-made metrics. */
export const METRICS: readonly Metric[] = [
  accuracy,
  balancedAccuracy,
  r2,
  correlation,
  meanSquaredError,
  meanAbsoluteError,
  endpointError(),
  binaryAccuracy,
];

/** Their names. */
export const METRIC_NAMES: readonly string[] = METRICS.map(({ name }) => name);

/** The ready-made metric of this name. @throws {ArgumentError} with the nearest name */
export function metricByName(name: string): Metric {
  const metric = METRICS.find((m) => m.name === name);
  if (metric) return metric;
  const near = nearestName(name, METRIC_NAMES);
  const expected = `${near ? `${near}? one of ` : "one of "}${METRIC_NAMES.join(", ")}`;
  throw new ArgumentError("task", "metrics", expected, `"${name}"`);
}
