// All layouts of published data sets.

import { banc } from "./banc.ts";
import { celegans } from "./celegans.ts";
import { flyvis } from "./flyvis.ts";
import { flywire, flywireCodex } from "./flywire.ts";
import { larva } from "./larva.ts";
import type { Layout } from "./layout.ts";
import { malecns } from "./malecns.ts";
import { malecnsSafetensors } from "./malecnsSafetensors.ts";
import { microns } from "./microns.ts";
import { hemibrain, manc } from "./neuprint.ts";
import { rawArrays } from "./rawArrays.ts";
import { shiu } from "./shiu.ts";
import { table } from "./table.ts";

export const LAYOUTS: readonly Layout[] = [
  malecns,
  flywireCodex,
  flywire,
  shiu,
  banc,
  hemibrain,
  manc,
  larva,
  celegans,
  microns,
  malecnsSafetensors,
  rawArrays,
  flyvis,
  table,
];
