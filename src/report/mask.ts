// Pictures painted in a colour of the theme: a rectangle of that colour seen through a grey picture.

import { type GreyImage, pngUrl } from "./png.ts";
import { element } from "./svg.ts";

export interface Placed {
  readonly image: GreyImage;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** All `pictures` in one colour; `className` is a colour of the theme, `id` unique on the page. */
export function painted(id: string, className: string, pictures: readonly Placed[]): string {
  if (pictures.length === 0) return "";
  const left = Math.min(...pictures.map((p) => p.x));
  const top = Math.min(...pictures.map((p) => p.y));
  const width = Math.max(...pictures.map((p) => p.x + p.width)) - left;
  const height = Math.max(...pictures.map((p) => p.y + p.height)) - top;
  const box = { x: left, y: top, width, height };
  const images = pictures.map(({ image, ...place }) =>
    element("image", { ...place, preserveAspectRatio: "none", href: pngUrl(image) }),
  );
  return (
    element("mask", { id, maskUnits: "userSpaceOnUse", "mask-type": "luminance", ...box }, ...images) +
    element("rect", { class: `fill ${className}`, mask: `url(#${id})`, ...box })
  );
}

/** Shares from 0 to 1 as a picture. */
export function greyImage(width: number, height: number, share: (x: number, y: number) => number): GreyImage {
  const pixels = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) pixels[y * width + x] = 255 * Math.min(1, Math.max(0, share(x, y)));
  }
  return { width, height, pixels };
}
