// Plots as PNG files: their size, that shapes, pictures and labels are drawn, in the colours of a light page.

import { existsSync } from "node:fs";
import sharp from "sharp";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Figure, standaloneSvg } from "../../src/report/figure.ts";
import { painted } from "../../src/report/mask.ts";
import { pngOfSvg } from "../../src/report/raster.ts";
import { element, fitted, label, textWidth } from "../../src/report/svg.ts";
import { LIGHT } from "../../src/report/theme.ts";
import { testOrSkip } from "../support/skip.ts";

const test = suite("plots as PNG");

test("a name with as much room as it takes is whole, whatever was added and taken away; a longer one is cut off", () => {
  for (let length = 2; length <= 40; length++) {
    const name = "T".repeat(length);
    for (const margin of [0.1, 10, 14]) assert.is(fitted(name, textWidth(name) + margin - margin), name);
    assert.is(fitted(`${name}TT`, textWidth(name)), `${name.slice(1)}…`);
  }
});

/** How many pixels of the picture have a colour, within a little. */
async function countPixels(png: Uint8Array, colour: string): Promise<number> {
  const { data, info } = await sharp(png)
    .removeAlpha()
    .toColourspace("srgb")
    .raw()
    .toBuffer({ resolveWithObject: true });
  const wanted = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  let count = 0;
  for (let i = 0; i < data.length; i += info.channels) {
    if (wanted.every((channel, c) => Math.abs(data[i + c]! - channel) <= 4)) count++;
  }
  return count;
}

/** A plot of `body`, 20 pixels high, without a title. */
function figure(body: string): Figure {
  const table = { columns: [], rows: [] };
  return { id: "a", title: "", caption: "", span: "half", draw: () => ({ height: 20, body }), table };
}

test("a picture has twice the size, and what the plot shows", async () => {
  const empty = await pngOfSvg(standaloneSvg(figure("")));
  assert.equal([...empty.subarray(1, 4)], [...Buffer.from("PNG")]);
  const { width, height } = await sharp(empty).metadata();
  assert.equal([width, height], [2 * 560, 2 * 94]);
  assert.is(await countPixels(empty, LIGHT.page), width * height);

  // 100 × 2 CSS pixels are 200 × 4 of the picture; its rounded ends add less than 2 × 4 × 4.
  const line = element("line", { class: "line blue", x1: 0, x2: 100, y1: 10, y2: 10 });
  const pixels = await countPixels(await pngOfSvg(standaloneSvg(figure(line))), LIGHT.blue);
  assert.ok(pixels >= 800 && pixels < 832, `${pixels} blue pixels of a line`);

  // The left half of a mask lets the colour through.
  const image = { width: 2, height: 1, pixels: Uint8Array.of(255, 0) };
  const mask = painted("m", "orange", [{ image, x: 0, y: 0, width: 20, height: 10 }]);
  const masked = await countPixels(await pngOfSvg(standaloneSvg(figure(mask))), LIGHT.orange);
  assert.ok(Math.abs(masked - 400) <= 40, `${masked} orange pixels of a picture`);
});

const FONTS = ["/usr/share/fonts", "/System/Library/Fonts", "C:\\Windows\\Fonts"];

testOrSkip(test, FONTS.some(existsSync), "no fonts on this system", "labels are drawn", async () => {
  const text = await pngOfSvg(standaloneSvg(figure(label(0, 15, "label"))));
  assert.ok((await countPixels(text, LIGHT.ink)) > 20, "letters are drawn");
});

test.run();
