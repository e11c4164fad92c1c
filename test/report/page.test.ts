// The report's page as a reader has it: opened in a browser, wide and narrow, light and dark.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { buildReport, writeReport } from "../../src/report/report.ts";
import { testOrSkip } from "../support/skip.ts";
import { startBrowser, type View } from "./browser.ts";
import { exampleParts } from "./exampleRun.ts";

const test = suite("report page");
const browser = await startBrowser();
const canOpen = typeof browser !== "string";

const VIEWS: Readonly<Record<string, View>> = {
  "a desktop, light": { width: 1280, height: 900, dark: false },
  "a desktop, dark": { width: 1280, height: 900, dark: true },
  "a tablet": { width: 768, height: 1024, dark: false },
  "a phone, light": { width: 390, height: 844, dark: false },
  "a phone, dark": { width: 390, height: 844, dark: true },
};

/** Pairs of labels of a visible plot whose boxes overlap by more than a pixel, and labels that leave the window. */
const MISPLACED_LABELS = `[...document.querySelectorAll("svg")].filter((svg) => svg.getBoundingClientRect().width > 0).flatMap((svg) => {
  const labels = [...svg.querySelectorAll("text")].map((text) => ({ text: text.textContent, box: text.getBoundingClientRect() }));
  const found = labels.filter(({ box }) => box.left < -1 || box.right > innerWidth + 1).map(({ text }) => "outside: " + text);
  labels.forEach((a, i) => labels.slice(i + 1).forEach((b) => {
    const x = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
    const y = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
    if (x > 1 && y > 3) found.push(a.text + " | " + b.text);
  }));
  return found;
})`;

/** Headings and tables of the page, and how wide it is. */
const OUTLINE = `({
  sections: [...document.querySelectorAll("h2")].map((h) => h.textContent),
  plots: [...document.querySelectorAll("svg")].filter((svg) => svg.getBoundingClientRect().width > 0).length,
  unnamed: [...document.querySelectorAll("svg")].filter((svg) => !document.getElementById(svg.getAttribute("aria-labelledby"))).length,
  tables: document.querySelectorAll("figure details table").length,
  repeatedIds: [...document.querySelectorAll("[id]")].filter((e) => document.querySelectorAll("#" + CSS.escape(e.id)).length > 1).length,
  width: document.scrollingElement.scrollWidth,
  page: getComputedStyle(document.body).backgroundColor,
})`;

interface Outline {
  readonly sections: readonly string[];
  readonly plots: number;
  readonly unnamed: number;
  readonly tables: number;
  readonly repeatedIds: number;
  readonly width: number;
  readonly page: string;
}

for (const [device, view] of Object.entries(VIEWS)) {
  testOrSkip(
    test,
    canOpen,
    `no browser: ${browser}`,
    `on ${device}, all plots are there and nothing overlaps`,
    async () => {
      if (typeof browser === "string") return;
      const folder = await mkdtemp(join(tmpdir(), "axograd-page-"));
      try {
        const file = join(folder, "report.html");
        const report = buildReport(exampleParts());
        await writeReport(report, file, join(folder, "plots"));
        const page = await browser.open(file, view);
        const outline = await page.evaluate<Outline>(OUTLINE);
        assert.equal(outline.sections, [
          "Learning",
          "Answers",
          "Activity",
          "Parameters",
          "Connectome",
          "Work",
          "Provenance",
        ]);
        assert.is(outline.plots, report.figures.length, "each plot is shown once");
        assert.is(outline.tables, report.figures.length, "each plot has its data");
        assert.is(outline.unnamed, 0, "each plot has a title");
        assert.is(outline.repeatedIds, 0, "ids are unique");
        assert.ok(outline.width <= view.width, `no sideways scrolling: ${outline.width} px`);
        assert.is(outline.page, view.dark ? "rgb(17, 22, 27)" : "rgb(255, 255, 255)");
        assert.equal(await page.evaluate<string[]>(MISPLACED_LABELS), []);
        assert.equal(page.problems, []);
        assert.equal(page.requests, []);
        await page.close();
      } finally {
        await rm(folder, { recursive: true });
      }
    },
  );
}

testOrSkip(test, canOpen, `no browser: ${browser}`, "the check of labels sees labels that overlap", async () => {
  if (typeof browser === "string") return;
  const folder = await mkdtemp(join(tmpdir(), "axograd-page-"));
  try {
    const file = join(folder, "report.html");
    const { html, figures } = buildReport(exampleParts());
    const broken = html.replaceAll(
      ">training step</text>",
      ">a training step whose name is much too long for its place and covers the ticks</text>",
    );
    await writeReport({ html: broken.replaceAll('y="268"', 'y="248"'), figures }, file, join(folder, "plots"));
    const page = await browser.open(file, VIEWS["a desktop, light"]!);
    assert.ok((await page.evaluate<string[]>(MISPLACED_LABELS)).length > 0);
    await page.close();
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.after(async () => {
  if (typeof browser !== "string") await browser.close();
});

test.run();
