import { suite } from "uvu";
import * as assert from "uvu/assert";
import { csrFromCoo } from "../../../src/core/csr.ts";
import { RandomStream } from "../../../src/core/random.ts";
import { HexagonalEye, hexagonalOffsets } from "../../../src/data/hexagon.ts";
import { motion } from "../../../src/data/tasks/motion.ts";
import { drawScene, type Places, type Scene, type Texture, viewScene } from "../../../src/data/tasks/movingScene.ts";
import { fails } from "../../io/fixtures.ts";

const test = suite("motion");
const TEXTURES: readonly Texture[] = ["noise", "natural", "edges"];
const range = (count: number) => Array.from({ length: count }, (_, i) => i);
const eye = new HexagonalEye(3);

function view(scene: Scene, places: Places, times: readonly number[]) {
  const luminance = new Float64Array(times.length * places.count);
  const flow = new Float64Array(2 * luminance.length);
  viewScene(scene, places, times, { luminance, flow });
  return { luminance, flow };
}

const shifted = (dx: number, dy: number): Places => ({
  count: eye.count,
  x: eye.x.map((x) => x + dx),
  y: eye.y.map((y) => y + dy),
});

// Brightness constancy, ∂I/∂t + v·∇I = 0, by central differences; wherever no outline passes between their points.
for (const twoDepths of [0, 1]) {
  test(`the flow is the one that keeps the brightness of what moves (${twoDepths + 1} depth)`, () => {
    const h = 1e-4;
    const time = 7.3;
    let [checked, both] = [0, 0];
    for (const s of range(60)) {
      const textures = [TEXTURES[s % 3]!];
      const scene = drawScene(
        { slowest: 0.1, fastest: 0.5, speeds: "uniform", textures, twoDepths },
        new RandomStream([s, 1]),
      );
      const views = [
        view(scene, eye, [time - h, time, time + h]),
        view(scene, shifted(-h, 0), [time]),
        view(scene, shifted(h, 0), [time]),
        view(scene, shifted(0, -h), [time]),
        view(scene, shifted(0, h), [time]),
      ] as const;
      const n = eye.count;
      const flows = new Set<number>();
      for (let c = 0; c < n; c++) {
        const [vx, vy] = [views[0].flow[2 * n + c]!, views[0].flow[3 * n + c]!];
        const isSame = (flow: Float64Array, k: number) =>
          flow[2 * k * n + c] === vx && flow[(2 * k + 1) * n + c] === vy;
        const isCrossed =
          !isSame(views[0].flow, 0) || !isSame(views[0].flow, 2) || views.slice(1).some((v) => !isSame(v.flow, 0));
        flows.add(vx);
        if (isCrossed) continue;
        const difference = (after: number, before: number) => (after - before) / (2 * h);
        const dt = difference(views[0].luminance[2 * n + c]!, views[0].luminance[c]!);
        const dx = difference(views[2].luminance[c]!, views[1].luminance[c]!);
        const dy = difference(views[4].luminance[c]!, views[3].luminance[c]!);
        // Third derivatives are below (gain·k·16·√(1/8))³, about 2e4 for edges: h²·2e4/6 < 1e-4; rounding adds 1e-12.
        assert.ok(Math.abs(dt + vx * dx + vy * dy) < 1e-4, `${textures} ${s} ${c}`);
        // The test can fail: another flow does not keep the brightness of what varies.
        if (Math.abs(dx) > 0.05) assert.ok(Math.abs(dt + (vx + 0.1) * dx + vy * dy) > 1e-3);
        checked++;
      }
      both += flows.size === 2 ? 1 : 0;
    }
    assert.ok(checked > 60 * eye.count * 0.95);
    if (twoDepths === 1) assert.ok(both > 10, `${both} scenes show both depths`);
    else assert.is(both, 0);
  });
}

test("a texture that moves by a column per frame is itself a column further", () => {
  for (const { du, dv } of hexagonalOffsets(1).slice(1)) {
    const drawn = drawScene(
      { slowest: 1, fastest: 1, speeds: "uniform", textures: ["natural"], twoDepths: 0 },
      new RandomStream([4, du + 9]),
    );
    const centre = eye.indexOf(0, 0);
    const to = eye.indexOf(du, dv);
    const scene = { ...drawn, far: { ...drawn.far, vx: eye.x[to]! - eye.x[centre]!, vy: eye.y[to]! - eye.y[centre]! } };
    const { luminance } = view(scene, eye, [0, 1]);
    for (let c = 0; c < eye.count; c++) {
      const next = eye.neighbour(c, { du, dv });
      if (next >= 0) assert.ok(Math.abs(luminance[eye.count + next]! - luminance[c]!) < 1e-14);
    }
  }
});

for (const speeds of ["uniform", "logarithmic"] as const) {
  test(`${speeds} speeds and directions are as asked; the errors of the answer 0 are the known ones`, async () => {
    const [slowest, fastest] = [0.1, 0.4];
    const options = { extent: 0, frames: 2, settle: 1, slowest, fastest, speeds, twoDepths: 0.5 };
    const count = 20_000;
    const { train, known } = motion.make({ seed: 3, samples: { train: count, validation: 1, test: 1 }, options });
    const { targets, weights } = await train.read(range(count), null);
    const squares: number[] = [];
    const absolutes: number[] = [];
    const lengths: number[] = [];
    let slow = 0;
    const sums = [0, 0];
    for (let i = 0; i < targets.length; i += 4) {
      assert.equal(Array.from(weights!.subarray(i, i + 4)), [0, 0, 1, 1]);
      const [x, y] = [targets[i + 2]!, targets[i + 3]!];
      const speed = Math.hypot(x, y);
      assert.ok(speed > slowest - 1e-7 && speed < fastest + 1e-7);
      squares.push((x * x + y * y) / 2);
      absolutes.push((Math.abs(x) + Math.abs(y)) / 2);
      lengths.push(speed);
      if (speed < Math.sqrt(slowest * fastest)) slow++;
      sums[0]! += x;
      sums[1]! += y;
    }
    for (const [values, answer] of [
      [squares, known.mse!.chance!],
      [squares, known.loss!.chance!],
      [absolutes, known.mae!.chance!],
      [lengths, known["endpoint-error"]!.chance!],
    ] as const) {
      const mean = values.reduce((a, b) => a + b, 0) / count;
      const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / count;
      assert.ok(Math.abs(mean - answer) < 5 * Math.sqrt(variance / count), `${mean} and ${answer}`);
      assert.not(Math.abs(mean * 1.05 - answer) < 5 * Math.sqrt(variance / count));
    }
    // The mean of a component is 0 ± its deviation/√count.
    for (const sum of sums) assert.ok(Math.abs(sum / count) < 5 * Math.sqrt(known.mse!.chance! / count));
    // Half of the logarithms lie below the middle; of uniform speeds from 0.1 to 0.4, a third lies below 0.2.
    const below = speeds === "uniform" ? 1 / 3 : 1 / 2;
    assert.ok(Math.abs(slow / count - below) < 5 * Math.sqrt((below * (1 - below)) / count), `${slow}`);
  });
}

test("the eye is that of the network, unless another is asked for", () => {
  const samples = { train: 1, validation: 1, test: 1 };
  const [weights, none] = [csrFromCoo({ nRows: 1, nCols: 1, rows: [], cols: [], values: [] }), null];
  const network = { weights, dynamics: "rate", nonlinearity: none, group: none, typeIdx: none };
  const columns = (extent: number | null, options = {}) =>
    motion.make({ seed: 1, samples, options, network: { ...network, eyeExtent: () => extent } }).train.inputSize;
  assert.equal([columns(2), columns(2, { extent: 1 }), columns(null)], [19, 7, 91]);
  assert.is(motion.make({ seed: 1, samples, network }).train.inputSize, 91);
});

test("the noise has the standard deviation that was asked for, and changes nothing else", async () => {
  const read = async (noise: number) => {
    const options = { extent: 2, frames: 10, noise };
    const { train } = motion.make({ seed: 5, samples: { train: 50, validation: 1, test: 1 }, options });
    return train.read(range(50), null);
  };
  const [clean, noisy] = [await read(0), await read(0.2)];
  assert.equal(noisy.targets, clean.targets);
  assert.ok(clean.inputs.every((x) => x > 0 && x < 1));
  const n = clean.inputs.length;
  const variance = Float64Array.from(clean.inputs).reduce((sum, x, i) => sum + (noisy.inputs[i]! - x) ** 2, 0) / n;
  // The standard error of the variance of n normal numbers is √(2/n) of it.
  assert.ok(Math.abs(variance / 0.04 - 1) < 5 * Math.sqrt(2 / n), `${variance}`);
});

test("options that contradict each other are refused by name", async () => {
  const make = (options: Readonly<Record<string, number | string>>) =>
    motion.make({ seed: 1, samples: { train: 1, validation: 1, test: 1 }, options });
  await fails(() => make({ slowest: 0.5, fastest: 0.4 }), "argument", /slowest/);
  await fails(() => make({ slowest: 0, speeds: "logarithmic" }), "argument", /above 0 .*slowest/);
  await fails(() => make({ frames: 5, settle: 5 }), "argument", /settle/);
});

test.run();
