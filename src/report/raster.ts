// Plots as PNG, drawn by sharp, an optional package.

import { loadPeer } from "../core/peer.ts";

type Sharp = typeof import("sharp").default;

/** Two pixels per CSS pixel (sharp counts 72 CSS pixels per inch), for paper and dense screens. */
const DENSITY = 2 * 72;

/**
 * The picture of an SVG file, in its light colours, with fonts of the system.
 *
 * @throws {EngineError} "peer-missing": sharp is not installed
 */
export async function pngOfSvg(svg: string): Promise<Uint8Array> {
  const sharp = await loadSharp();
  return sharp(Buffer.from(svg), { density: DENSITY }).png({ palette: true }).toBuffer();
}

/**
 * Checks that PNG files can be made, before any other work.
 *
 * @throws {EngineError} "peer-missing": sharp is not installed
 */
export async function assertPng(): Promise<void> {
  await loadSharp();
}

async function loadSharp(): Promise<Sharp> {
  const need = { name: "sharp", place: "plot", need: "PNG files need" };
  return (await loadPeer(() => import("sharp"), need)).default;
}
