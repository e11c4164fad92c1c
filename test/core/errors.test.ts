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
