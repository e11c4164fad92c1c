// The options of gpu-report.

import { parseArgs } from "node:util";
import { PARTS } from "./parts.mjs";

export const USAGE = `./gpu-report [options]: checks and times axograd on the GPU of this machine

  --quick               fewer repeats, and three files of the conformance suite
  --parts A,B           of ${PARTS.join(", ")} (all)
  --budget SECONDS      for everything (1800); what is not reached is named
  --batches 8,64,256    samples in a batch
  --neurons N --connections N   size of the network that is generated (47521 and 4623254; a whole fly has 166700 and 25600000)
  --patience FACTOR     of the time limits of all parts, for a slow adapter (1)
  --adapter NAME        an adapter of axograd doctor, or part of its name
  --driver ICD.json     a Vulkan driver's manifest
  --out FILE            (gpu-report.json); rows as they come are in FILE.rows
`;

/** A fly's optic lobe. */
const NETWORK = { neurons: 47521, connections: 4623254 };

/** An error message for the user, before the report begins. */
export class UsageError extends Error {}

export function optionsOf(args) {
  const values = parse(args);
  const { neurons, connections, quick } = values;
  if ((neurons === undefined) !== (connections === undefined))
    throw new UsageError("--neurons and --connections go together");
  return {
    network:
      neurons === undefined
        ? NETWORK
        : { neurons: whole("--neurons", neurons), connections: whole("--connections", connections) },
    parts: partsOf(values.parts),
    batches: values.batches.split(",").map((text) => whole("--batches", text)),
    budgetS: whole("--budget", values.budget),
    patience: whole("--patience", values.patience),
    quick,
    adapter: values.adapter ?? null,
    out: values.out,
    help: values.help,
  };
}

function parse(args) {
  const string = { type: "string" };
  const isThere = { type: "boolean", default: false };
  const withDefault = (value) => ({ ...string, default: value });
  try {
    return parseArgs({
      args,
      options: {
        ...{ help: isThere, quick: isThere },
        ...{ parts: string, neurons: string, connections: string, adapter: string, driver: string },
        ...{
          batches: withDefault("8,64,256"),
          budget: withDefault("1800"),
          patience: withDefault("1"),
          out: withDefault("gpu-report.json"),
        },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error.message);
  }
}

function partsOf(text) {
  if (text === undefined) return PARTS;
  const names = text.split(",");
  const unknown = names.find((name) => !PARTS.includes(name));
  if (unknown !== undefined) throw new UsageError(`--parts: expected some of ${PARTS.join(", ")}, got ${unknown}`);
  return names;
}

function whole(option, text) {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new UsageError(`${option}: expected a whole number ≥ 1, got ${text}`);
}
