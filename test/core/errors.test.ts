import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  ArgumentError,
  BackendError,
  EngineError,
  FileFormatError,
  nearestName,
  ShapeError,
  SolverError,
  SparseFormatError,
} from "../../src/core/errors.ts";

const test = suite("errors");

test("an error about an argument says where, what was expected, what came, and which argument", () => {
  const kinds = [
    [ArgumentError, "argument"],
    [ShapeError, "shape"],
    [SparseFormatError, "sparse-format"],
  ] as const;
  for (const [Kind, code] of kinds) {
    const error = new Kind("spmm", "x", "100 rows", "99");
    assert.is(error.message, "spmm: expected 100 rows, got 99 (x)");
    assert.is(error.code, code);
    assert.equal(error.facts, { where: "spmm", argument: "x", expected: "100 rows", got: "99" });
  }
});

test("every error of the engine is an Error, an EngineError, and bears the name of its class", () => {
  const errors: readonly (readonly [EngineError, string, string])[] = [
    [new ArgumentError("f", "x", "a", "b"), "ArgumentError", "argument"],
    [new ShapeError("f", "x", "a", "b"), "ShapeError", "shape"],
    [new SparseFormatError("f", "x", "a", "b"), "SparseFormatError", "sparse-format"],
    [new FileFormatError("a.npz", "a zip file", "text"), "FileFormatError", "file-format"],
    [new FileFormatError("a.npz", "a zip file", "10 bytes", "file-truncated"), "FileFormatError", "file-truncated"],
    [new BackendError("device-lost", "webgpu: the device was lost"), "BackendError", "device-lost"],
    [new SolverError("dtMin", "solve: step too small", { sample: 3 }), "SolverError", "dtMin"],
  ];
  for (const [error, name, code] of errors) {
    assert.instance(error, Error);
    assert.instance(error, EngineError);
    assert.is(error.name, name);
    assert.is(error.code, code);
  }
});

test("an error carries its cause only where there is one", () => {
  const cause = new Error("disk full");
  assert.is(new BackendError("io", "cannot write", {}, cause).cause, cause);
  assert.not("cause" in new BackendError("io", "cannot write"));
});

const KINDS: readonly ((text: string) => EngineError)[] = [
  (text) => new EngineError("internal", text),
  (text) => new ArgumentError(text, text, text, text),
  (text) => new ShapeError(text, text, text, text),
  (text) => new SparseFormatError(text, text, text, text),
  (text) => new FileFormatError(text, text, text),
  (text) => new BackendError("device-lost", text),
  (text) => new SolverError("dtMin", text, {}),
];

test("no message acts on a terminal, whatever a file or a user has put into it", () => {
  for (const make of KINDS) {
    const { message } = make("a\u001b]0;title\u0007\u009b2J\u202e\r\ud800b");
    assert.not.match(message, /\p{Cc}|\p{Cf}|\p{Cs}/u);
    assert.match(message, /a\\u001b\]0;title\\u0007\\u009b2J\\u202e\\r\\ud800b/);
  }
  assert.is(new ArgumentError("f", "x", "a\nb", "c\nd").message, "f: expected a\\nb, got c\\nd (x)");
  assert.is(new EngineError("runs-failed", "two failed:\n  a\n  b").message, "two failed:\n  a\n  b");
});

test("every message is of bounded length and says how long a text was", () => {
  const long = `begin${"\u001b".repeat(500_000)}end`;
  for (const make of KINDS) {
    const { message } = make(long);
    assert.ok(message.length < 4100, `${message.length} characters`);
    assert.match(message, /^begin/);
    assert.match(message, / characters\)/);
  }
});

test("facts are as they came, but for the middle of texts that no path is as long as", () => {
  const path = `/${"a".repeat(4000)}\u001b`;
  const { facts } = new FileFormatError(path, "text", "x".repeat(500_000));
  assert.is(facts.file, path);
  assert.match(String(facts.got), /^x{2000,}… \(500,000 characters\) …x{1000,}$/);
});

test("nearestName corrects slips of the keyboard whatever the case", () => {
  const known = ["tolerance", "batchSize", "learningRate"];
  assert.is(nearestName("tolerence", known), "tolerance");
  assert.is(nearestName("batchsize", known), "batchSize");
  assert.is(nearestName("learnigRate", known), "learningRate");
  assert.is(nearestName("tolerance", known), "tolerance");
});

test("nearestName prefers the nearer of two candidates, whatever their order", () => {
  assert.is(nearestName("epoch", ["epic", "epochs"]), "epochs");
  assert.is(nearestName("epoch", ["epochs", "epic"]), "epochs");
});

test("nearestName offers nothing where nothing is near", () => {
  assert.is(nearestName("gpu", ["learningRate", "seed"]), null);
  assert.is(nearestName("abcdef", ["uvwxyz"]), null);
  assert.is(nearestName("anything", []), null);
});

test.run();
