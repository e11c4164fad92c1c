import { suite } from "uvu";
import * as assert from "uvu/assert";
import { HexagonalEye, hexagonalOffsets } from "../../src/data/hexagon.ts";
import { hexConvolution } from "../../src/data/hexConvolution.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("hexagon");

test("an eye has the columns within its extent, in the order of flyvis: by u, then by v", () => {
  for (const extent of [0, 1, 2, 6]) {
    const expected: [number, number][] = [];
    for (let u = -extent; u <= extent; u++) {
      for (let v = -extent; v <= extent; v++) if (Math.abs(u + v) <= extent) expected.push([u, v]);
    }
    const eye = new HexagonalEye(extent);
    assert.is(eye.count, expected.length);
    assert.equal(
      Array.from(eye.u, (u, c) => [u, eye.v[c]]),
      expected,
    );
  }
  assert.is(new HexagonalEye(15).count, 721);
});

test("indexOf finds every column, and nothing outside", () => {
  const eye = new HexagonalEye(3);
  const number = new Map(Array.from(eye.u, (u, c) => [`${u},${eye.v[c]}`, c]));
  for (let u = -5; u <= 5; u++) {
    for (let v = -5; v <= 5; v++) assert.is(eye.indexOf(u, v), number.get(`${u},${v}`) ?? -1);
  }
});

test("offsets come ring by ring, each ring once around; neighbours are 1 apart", () => {
  const at = ({ du, dv }: { du: number; dv: number }) => [(Math.sqrt(3) / 2) * dv, -(du + dv / 2)] as const;
  const offsets = hexagonalOffsets(4);
  assert.is(offsets.length, new HexagonalEye(4).count);
  assert.is(new Set(offsets.map(({ du, dv }) => `${du},${dv}`)).size, offsets.length);
  let first = 1;
  for (let ring = 1; ring <= 4; ring++) {
    const members = offsets.slice(first, first + 6 * ring);
    members.forEach((offset, k) => {
      const { du, dv } = offset;
      assert.is(Math.max(Math.abs(du), Math.abs(dv), Math.abs(du + dv)), ring);
      const [x, y] = at(offset);
      const [nextX, nextY] = at(members[(k + 1) % members.length]!);
      assert.ok(Math.abs(Math.hypot(nextX - x, nextY - y) - 1) < 1e-14);
    });
    first += 6 * ring;
  }
});

test("places follow the coordinates, and neighbour follows both", () => {
  const eye = new HexagonalEye(3);
  const centre = eye.indexOf(0, 0);
  assert.equal([eye.x[centre], Math.abs(eye.y[centre]!)], [0, 0]);
  for (const offset of hexagonalOffsets(1).slice(1)) {
    const other = eye.neighbour(centre, offset);
    assert.equal([eye.u[other], eye.v[other]], [offset.du, offset.dv]);
    assert.ok(Math.abs(Math.hypot(eye.x[other]!, eye.y[other]!) - 1) < 1e-14);
  }
  assert.is(eye.neighbour(eye.indexOf(3, 0), { du: 1, dv: 0 }), -1);
});

test("a convolution is the sum over channels and offsets that its formula says", () => {
  const eye = new HexagonalEye(2);
  const [radius, channelsIn, channelsOut] = [1, 2, 3];
  const { csr, group, nGroups } = hexConvolution(eye, radius, channelsIn, channelsOut);
  const offsets = hexagonalOffsets(radius);
  assert.is(nGroups, channelsOut * channelsIn * offsets.length);
  assert.equal([csr.nRows, csr.nCols], [channelsOut * eye.count, channelsIn * eye.count]);
  assert.ok(csr.values.every((value) => value === 1));
  const weight = (g: number) => Math.sin(1 + g);
  const input = Float64Array.from({ length: csr.nCols }, (_, i) => Math.cos(3 * i));
  for (let o = 0; o < channelsOut; o++) {
    for (let c = 0; c < eye.count; c++) {
      let expected = 0;
      for (let i = 0; i < channelsIn; i++) {
        offsets.forEach(({ du, dv }, d) => {
          const from = eye.indexOf(eye.u[c]! + du, eye.v[c]! + dv);
          if (from >= 0) expected += weight((o * channelsIn + i) * offsets.length + d) * input[i * eye.count + from]!;
        });
      }
      const row = o * eye.count + c;
      let sum = 0;
      for (let e = csr.rowPtr[row]!; e < csr.rowPtr[row + 1]!; e++) sum += weight(group[e]!) * input[csr.colIdx[e]!]!;
      assert.ok(Math.abs(sum - expected) < 1e-13);
    }
  }
});

test("extents, radii and channels that are no whole numbers are refused by name", async () => {
  const eye = new HexagonalEye(1);
  for (const bad of [-1, 0.5, Number.NaN, 1e6]) {
    await fails(() => new HexagonalEye(bad), "argument", /extent/);
    await fails(() => hexagonalOffsets(bad), "argument", /radius/);
  }
  for (const bad of [0, 1.5]) {
    await fails(() => hexConvolution(eye, 1, bad, 1), "argument", /channelsIn/);
    await fails(() => hexConvolution(eye, 1, 1, bad), "argument", /channelsOut/);
  }
});

test.run();
