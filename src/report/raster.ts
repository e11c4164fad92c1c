// Plots as PNG. sharp draws them, which users install when they want pictures.

import { EngineError } from "../core/errors.ts";

type Sharp = typeof import("sharp").default;

/** Two pixels per CSS pixel, of which 72 are an inch to sharp: sharp on paper and on dense screens. */
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
 * Makes sure that PNG files can be made, before there is any work for them.
 *
 * @throws {EngineError} "peer-missing": sharp is not installed
 */
export async function assertPng(): Promise<void> {
  await loadSharp();
}

async function loadSharp(): Promise<Sharp> {
  try {
    return (await import("sharp")).default;
  } catch (cause) {
    const message = "plot: PNG files need the package sharp; install it with: npm install sharp";
    throw new EngineError("peer-missing", message, { package: "sharp" }, cause);
  }
}
