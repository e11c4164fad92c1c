// A motion detector whose preferred direction is known, because it was planted: Barlow and Levick's, three neurons with a delay.
// Source: Barlow, Levick, J. Physiol. 178, 477 (1965).

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import { type DirectionTuning, directionTuning, probeEdges } from "../../src/analysis/directionTuning.ts";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { HexagonalEye } from "../../src/data/hexagon.ts";
import { ConnectomeRNN } from "../../src/models/connectomeRnn.ts";
import type { Interventions } from "../../src/models/interventions.ts";
import type { WithBackend } from "../support/backends.ts";

/** Those of column c are neurons c, columns + c and 2·columns + c. */
export const PLANTED_TYPES = ["Fast", "Slow", "Detector"] as const;

/** The neighbour whose slow signal inhibits the detector lies where the preferred motion goes. */
const TO = { du: -1, dv: 1 };
/** Its direction: x = √3/2, y = 1/2. */
export const PLANTED_DIRECTION = 30;

/** In frames; Slow is the delay. */
export const PLANTED_TAU = { Fast: 1, Slow: 2, Detector: 1 } as const;
/** Inputs are luminances L: Fast and Slow send relu(L − ½), brightness above grey. */
export const PLANTED_BIAS = { Fast: -0.5, Slow: -0.5, Detector: -0.35 } as const;

/**
 * Of equal responses r, Σ r·e^{iθ} = r·Σ e^{iθ} is 0 but for rounding, relative to Σ r = 12 r: on either axis, 12 cosines with an error of half a unit
 * each, and of three half units of their angle, at most 2π; and 11 sums that are at most 4.
 */
export const NOT_SELECTIVE: number = (Math.SQRT2 * (12 * (1 + 3 * 2 * Math.PI) + 11 * 4) * 2 ** -53) / 12;

/**
 * The network of rates: in each column, Fast and Slow see the luminance; the detector gets Fast of its own column and −20·Slow of the neighbour. So it
 * answers where its column brightens before the neighbour does: for edges that move towards the neighbour. The threshold narrows the tuning to the
 * directions within 30° of it: an edge at 60° reaches the neighbour when it has passed half of the own column, which adds ¼ to Fast, below 0.35.
 */
export function plantedDetector(extent: number): { readonly eye: HexagonalEye; readonly csr: Csr } {
  const eye = new HexagonalEye(extent);
  const n = eye.count;
  const columns = Array.from({ length: n }, (_, c) => c);
  const inside = columns.filter((c) => eye.neighbour(c, TO) >= 0);
  const csr = csrFromCoo(
    {
      ...{ nRows: 3 * n, nCols: 3 * n },
      rows: [...columns, ...inside].map((c) => 2 * n + c),
      cols: [...columns, ...inside.map((c) => n + eye.neighbour(c, TO))],
      values: Float64Array.from([...columns.map(() => 1), ...inside.map(() => -20)]),
    },
    "plantedDetector",
  );
  return { eye, csr };
}

/** Tests that the probe finds what was planted, and finds it gone when the delayed input is silenced. */
export function definePlantedDetector(test: Test<WithBackend>): void {
  test("the probe finds a planted motion detector, gone without its delayed input", async ({ backend }) => {
    const { eye, csr } = plantedDetector(2);
    const n = eye.count;
    const rows = Array.from({ length: 2 * n }, (_, i) => i);
    const values = new Float64Array(2 * n).fill(1);
    using model = new ConnectomeRNN(backend, {
      inputSize: n,
      numNeurons: 3 * n,
      connectome: csr,
      inputProjection: csrFromCoo({ nRows: 3 * n, nCols: n, rows, cols: rows.map((i) => i % n), values }, "input"),
      neuronType: Array.from({ length: 3 * n }, (_, i) => PLANTED_TYPES[Math.floor(i / n)]!),
      neuronNonlinearity: "ReLU",
      neuronTau: PLANTED_TAU,
      neuronTauMode: "perNeuronType",
      biasInit: PLANTED_BIAS,
      biasMode: "perNeuronType",
      weightConstraint: "sign",
    });
    const centre = eye.indexOf(0, 0);
    const groups = PLANTED_TYPES.map((name, t) => ({ name, neurons: Uint32Array.of(t * n + centre) }));
    const probe = async (interventions: Interventions | null): Promise<DirectionTuning[]> =>
      directionTuning(
        await probeEdges(model, {
          places: eye,
          groups,
          evaluation: () => ({ interventions }),
          before: 0.1,
          after: 0.1,
        }),
      );
    const [fast, slow, detector] = await probe(null);
    for (const [s, dsi] of detector!.on.dsiBySpeed.entries()) {
      assert.ok(dsi > 0.9, `speed ${s}: ${dsi}`);
      assert.ok(Math.abs(detector!.on.directionBySpeed[s]! - PLANTED_DIRECTION) < 1e-3);
    }
    assert.is(detector!.off.dsi, 0);
    assert.is(detector!.polarity, 1);
    for (const relay of [fast!, slow!]) {
      assert.ok(relay.on.dsi < NOT_SELECTIVE && relay.on.curve[0]! > 0.4, `a relay: ${relay.on.dsi}`);
      assert.ok(Number.isNaN(relay.on.direction));
    }
    const [, silenced, bare] = await probe({ silence: "type=Slow" });
    assert.ok(bare!.on.dsi < NOT_SELECTIVE, `without delay: ${bare!.on.dsi}`);
    assert.ok(bare!.on.curve.every((r) => Math.abs(r - 0.15) < 1e-6));
    assert.is(silenced!.on.dsi, 0);
    assert.ok(Number.isNaN(silenced!.polarity));
  });
}
