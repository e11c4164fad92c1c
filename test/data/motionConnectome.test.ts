import { suite } from "uvu";
import * as assert from "uvu/assert";
import { withValues } from "../../src/core/csr.ts";
import { RandomStream } from "../../src/core/random.ts";
import { hexagonalOffsets } from "../../src/data/hexagon.ts";
import { motionConnectome } from "../../src/data/motionConnectome.ts";
import { drawScene, viewScene } from "../../src/data/tasks/movingScene.ts";
import { teacherTraces } from "../../src/data/tasks/teacherNetwork.ts";
import { sharedByTypePair } from "../../src/data/typePairs.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("motionConnectome");
const network = motionConnectome();
const { csr, shared, eye, count, role, sign, types, typeIdx } = network;
const columnOf = (i: number) => i % eye.count;

test("91 columns by default; tables and parameters fit the network", () => {
  assert.is(eye.count, 91);
  assert.is(count, types.length * eye.count);
  assert.equal([csr.nRows, csr.nCols, csr.duplicatesSummed], [count, count, 0]);
  assert.equal([network.tau.length, network.rest.length], [types.length, types.length]);
  assert.ok(network.tau.every((tau) => tau >= 1));
  assert.is(shared.strengthInit.length, shared.nGroups);
  assert.ok(shared.strengthInit.every((strength) => strength > 0));
  assert.ok(network.x.every((x) => x >= 0 && x <= 1) && network.y.every((y) => y >= 0 && y <= 1));
  for (const [e, w] of csr.values.entries()) assert.is(w, sign[csr.colIdx[e]!]);
});

test("inputs receive nothing; outputs hear from hidden cells only", () => {
  for (let i = 0; i < count; i++) {
    const from = Array.from(csr.colIdx.subarray(csr.rowPtr[i], csr.rowPtr[i + 1]), (j) => role[j]);
    if (role[i] === "input") assert.is(from.length, 0);
    if (role[i] === "output") assert.ok(from.length > 0 && from.every((r) => r === "hidden"));
  }
});

test("a strength belongs to a pair of types and an offset, in every column", () => {
  const meaning = new Map<number, string>();
  for (let i = 0; i < count; i++) {
    for (let e = csr.rowPtr[i]!; e < csr.rowPtr[i + 1]!; e++) {
      const [to, from] = [columnOf(i), columnOf(csr.colIdx[e]!)];
      const offset = `${eye.u[from]! - eye.u[to]!},${eye.v[from]! - eye.v[to]!}`;
      const own = `${typeIdx[csr.colIdx[e]!]} → ${typeIdx[i]} at ${offset}`;
      const known = meaning.get(shared.group[e]!);
      if (known === undefined) meaning.set(shared.group[e]!, own);
      else assert.is(known, own);
    }
  }
  assert.is(meaning.size, shared.nGroups);
  assert.is(new Set(meaning.values()).size, shared.nGroups);
  // The pairs are those of the type pairs, which know nothing of offsets.
  assert.ok(sharedByTypePair(csr, network).nGroups < shared.nGroups);
});

test("seeds change the lateral strengths and nothing else", () => {
  assert.equal(motionConnectome(), network);
  const other = motionConnectome({ seed: 2 });
  assert.equal(other.csr, csr);
  assert.not.equal(other.shared.strengthInit, shared.strengthInit);
});

test("before any training, detectors respond most to motion towards their own neighbour", () => {
  const small = motionConnectome({ extent: 3 });
  const weights = withValues(
    small.csr,
    Float64Array.from(small.csr.values, (w, e) => w * small.shared.strengthInit[small.shared.group[e]!]!),
  );
  const perCell = (values: Float64Array) => Float64Array.from(small.typeIdx, (t) => values[t]!);
  const cells = {
    dynamics: "rate",
    nonlinearity: "ReLU",
    weights,
    tau: perCell(small.tau),
    bias: perCell(small.rest),
  } as const;
  const columns = small.eye.count;
  const frames = 60;
  const times = Array.from({ length: frames }, (_, k) => k);
  const directions = hexagonalOffsets(1).slice(1);
  const centre = small.eye.indexOf(0, 0);
  /** [type][direction]: mean response of the central cell. */
  const responses = small.types.map(() => new Float64Array(6));
  directions.forEach((offset, d) => {
    const to = small.eye.neighbour(centre, offset);
    for (let s = 0; s < 20; s++) {
      const drawn = drawScene(
        { slowest: 0.2, fastest: 0.2, speeds: "uniform", textures: ["noise"], twoDepths: 0 },
        new RandomStream([s, 5]),
      );
      const far = { ...drawn.far, vx: 0.2 * small.eye.x[to]!, vy: 0.2 * small.eye.y[to]! };
      const luminance = new Float64Array(frames * columns);
      viewScene({ ...drawn, far }, small.eye, times, { luminance, flow: new Float64Array(2 * luminance.length) });
      const inputs = new Float64Array(frames * small.count);
      for (let k = 0; k < frames; k++) {
        for (let i = 0; i < small.count; i++)
          if (small.role[i] === "input") inputs[k * small.count + i] = luminance[k * columns + (i % columns)]!;
      }
      const traces = teacherTraces(cells, inputs);
      for (let k = 20; k < frames; k++) {
        responses.forEach((r, t) => {
          r[d]! += traces[k * small.count + t * columns + centre]! / (20 * 40);
        });
      }
    }
  });
  small.types.forEach((name, t) => {
    if (!name.startsWith("T")) return;
    // The angle of the mean of the responses' directions, in sixths of a turn.
    let [x, y] = [0, 0];
    responses[t]!.forEach((r, d) => {
      x += r * Math.cos((2 * Math.PI * d) / 6);
      y += r * Math.sin((2 * Math.PI * d) / 6);
    });
    const preferred = (6 * Math.atan2(y, x)) / (2 * Math.PI);
    const own = "abcdef".indexOf(name.at(-1)!);
    const away = Math.abs(((preferred - own + 9) % 6) - 3);
    assert.ok(away < 1, `${name} prefers direction ${preferred.toFixed(2)}`);
  });
});

test("an extent or seed that is no whole number is refused by name", async () => {
  await fails(() => motionConnectome({ extent: 0 }), "argument", /extent/);
  await fails(() => motionConnectome({ extent: 2.5 }), "argument", /extent/);
  await fails(() => motionConnectome({ seed: -1 }), "argument", /seed/);
});

test.run();
