// Makes docs/report.png, the picture of a report in README, from a run:
//   npm run picture -- RUN [OUT.png]
// The tests' headless browser opens the page at the width of a desktop; the picture is its upper part.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";

const [run, out = "docs/report.png"] = process.argv.slice(2);
if (!run) throw new Error("expected the folder of a run: npm run picture -- RUN [OUT.png]");

const root = fileURLToPath(new URL("..", import.meta.url));
/** CSS pixels. */
const WIDTH = 1180;
const HEIGHT = 1580;
const SCALE = 1.5;
/** CSS pixels that the browser reserves for a scroll bar; a margin in the picture. */
const SCROLL_BAR = 15;
const MOST_BYTES = 300 * 1024;

const { status } = spawnSync(process.execPath, [join(root, "dist/src/cli/main.js"), "report", run], {
  stdio: "inherit",
});
if (status !== 0) process.exit(status ?? 1);
const { startBrowser } = await import(join(root, "dist/test/report/browser.js"));
const browser = await startBrowser();
if (typeof browser === "string") throw new Error(`no browser: ${browser}`);
try {
  const page = await browser.open(join(run, "report.html"), {
    width: WIDTH,
    height: HEIGHT,
    dark: false,
    scale: SCALE,
  });
  await page.evaluate("document.documentElement.style.overflow = 'hidden'");
  const whole = sharp(await page.screenshot());
  const { width, height } = await whole.metadata();
  const picture = await whole
    .extract({ left: 0, top: 0, width, height: Math.min(height, SCALE * HEIGHT) })
    .extend({ right: Math.round(SCALE * SCROLL_BAR), background: "white" })
    .png({ palette: true, effort: 10 })
    .toBuffer();
  if (picture.length > MOST_BYTES) throw new Error(`expected at most ${MOST_BYTES} bytes, got ${picture.length}`);
  writeFileSync(out, picture);
  console.log(`${out}: ${picture.length} bytes`);
  await page.close();
} finally {
  await browser.close();
}
