import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  clipped,
  csvCell,
  csvLine,
  escapeMarkdown,
  escapeMarkup,
  jsonText,
  plural,
  printable,
  quoteText,
  quoteValue,
  shellWord,
  shortened,
} from "../../src/core/text.ts";

const test = suite("text");

const ESC = "\u001b";

test("quoted text is JSON on one line, without a character that a terminal acts on", () => {
  assert.is(quoteText("L1"), '"L1"');
  assert.is(quoteText('a "b" \\ c'), '"a \\"b\\" \\\\ c"');
  assert.is(quoteText("a\nb\r\tc"), '"a\\nb\\r\\tc"');
  assert.is(quoteText(`${ESC}[2J`), '"\\u001b[2J"');
  for (const text of ["\u009b2J", "\u202egpj", "\u2028", "\ufeff1", "\u007f", "\ud800", "\u{e0041}"]) {
    const quoted = quoteText(text);
    assert.match(quoted, /^"(\\u[0-9a-f]{4})+[\x20-\x7e]*"$/, JSON.stringify(text));
    assert.is(JSON.parse(quoted), text);
  }
  assert.is(quoteText("Größe 神経 🧠 می‌خواهم"), '"Größe 神経 🧠 می‌خواهم"');
});

test("a long text is quoted by its two ends, with its length", () => {
  const quoted = quoteText(`begin${"x".repeat(500_000)}end`);
  assert.ok(quoted.length < 200);
  assert.match(quoted, /^"beginx+…x+end" \(500,008 characters\)$/);
});

test("no cut goes through a character", () => {
  for (let offset = 0; offset < 4; offset++) {
    const text = "a".repeat(offset) + "🧠".repeat(200);
    assert.not.match(shortened(text, 60), /\p{Cs}/u);
    assert.not.match(quoteText(text), /\\ud/);
  }
});

test("a text that is not too long stays as it is", () => {
  assert.is(shortened("abc", 3), "abc");
  assert.is(shortened("a".repeat(90), 60), `${"a".repeat(40)}… (90 characters) …${"a".repeat(20)}`);
});

test("values of any kind are told in a few words", () => {
  assert.is(quoteValue(undefined), "nothing");
  assert.is(quoteValue(null), "null");
  assert.is(quoteValue(Number.NaN), "NaN");
  assert.is(quoteValue(Number.NEGATIVE_INFINITY), "-Infinity");
  assert.is(quoteValue([1, Number.NaN]), '[1,"NaN"]');
  assert.is(quoteValue({ a: 2n ** 70n }), '{"a":"1180591620717411303424"}');
  assert.is(quoteValue({ a: `${ESC}[0m` }), '{"a":"\\u001b[0m"}');
  const circular: unknown[] = [];
  circular.push(circular);
  assert.is(quoteValue(circular), "a value that contains itself");
  assert.ok(quoteValue(Array.from({ length: 1e5 }, (_, k) => k)).length < 200);
});

test("printable text keeps what people read, and shows what acts; line ends stay where they are wanted", () => {
  assert.is(printable("a\nb"), "a\\nb");
  assert.is(printable("a\nb\r", { lines: true }), "a\nb\\r");
  assert.is(printable("µ ± 5 % → 🧠"), "µ ± 5 % → 🧠");
});

test("JSON for a terminal is still the same JSON", () => {
  const value = { text: `${ESC}\u009b\u202e\u007f\n`, list: [1, null] };
  assert.equal(JSON.parse(jsonText(value)), value);
  assert.equal(JSON.parse(jsonText(value, 2)), value);
  assert.match(jsonText(value, 2), /^[\x20-\x7e\n]+$/);
});

const HOSTILE = `<script>alert("x")</script>'&\n| a |${ESC}[2J\u0000\u0085\ufffe\uffff\ud800![x](http://x)\`*_~$`;

test("markup shows any text, and has no character that XML refuses", () => {
  const markup = escapeMarkup(HOSTILE);
  assert.not.match(markup, /[<>"'\ufffe\uffff]|\p{Cc}|\p{Cs}|&(?!#\d+;)/u);
  const shown = markup.replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)));
  assert.match(shown, '<script>alert("x")</script>\'&\\n| a |\\u001b[2J\\u0000\\u0085\\ufffe\\uffff\\ud800');
});

test("a cell of a Markdown table stays one cell, without HTML, links or emphasis", () => {
  const cell = escapeMarkdown(HOSTILE);
  assert.not.match(cell, /[<>\n]|(?<!\\)[|`*_[\]~$]/);
  assert.match(cell, "&#60;script&#62;");
  assert.is(escapeMarkdown("0.001, 97.4 ± 0.1 %"), "0.001, 97.4 ± 0.1 %");
});

test("a cell of CSV is read back as it was", () => {
  assert.is(csvCell("a"), "a");
  assert.is(csvCell('a,"b"\n'), '"a,""b""\n"');
  assert.is(csvCell("=1+1"), "=1+1");
  assert.is(csvCell(" a"), '" a"');
  assert.is(csvLine(["a,b", 0.5, -0, Number.NaN, Number.POSITIVE_INFINITY, ""]), '"a,b",0.5,0,,Infinity,\n');
});

test("a clipped text says so, and has no half characters", () => {
  assert.is(clipped("abc", 3), "abc");
  assert.is(clipped("abcd", 3), "ab…");
  assert.is(clipped("a🧠bc", 3), "a…");
});

test("a word for the shell is one word, whatever is in it", async () => {
  const words = ["a b", "it's", "$(touch x)", "`touch x`", "\n touch x\n", '\\" !! *', "-n"];
  const { stdout } = await promisify(execFile)("sh", ["-c", `printf '%s\\0' ${words.map(shellWord).join(" ")}`]);
  assert.equal(stdout.split("\0").slice(0, -1), words);
});

test("one is one, all others are many", () => {
  assert.is(plural(1, "neuron"), "1 neuron");
  assert.is(plural(0, "neuron"), "0 neurons");
  assert.is(plural(4623254, "entry", "entries"), "4,623,254 entries");
});

test.run();
