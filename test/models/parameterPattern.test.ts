// Patterns that choose parameters by name or role.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ArgumentError } from "../../src/core/errors.ts";
import type { ParameterRole } from "../../src/models/parameters/parameter.ts";
import { matchingParameters, matchingTrainable } from "../../src/models/parameters/pattern.ts";

const test = suite("parameter patterns");

const of = (name: string, role: ParameterRole, trainable = true) => ({ name, role, trainable });
const PARAMETERS = [
  of("rnn.hh.values", "weights"),
  of("rnn.hh.bias", "biases"),
  of("rnn.ih.values", "input", false),
  of("rnn.tau", "time constants"),
  of("out_layer.1.weight", "read-out"),
  of("out_layer.1.bias", "read-out"),
] as const;

const named = (pattern: string): string[] =>
  matchingParameters("test", "pattern", pattern, PARAMETERS).map(({ name }) => name);

function refused(make: () => unknown, message: RegExp): void {
  assert.throws(make, (error: unknown) => error instanceof ArgumentError && message.test(error.message));
}

test("names, roles and wildcards choose parameters in their order", () => {
  assert.equal(named("rnn.tau"), ["rnn.tau"]);
  assert.equal(named("read-out"), ["out_layer.1.weight", "out_layer.1.bias"]);
  assert.equal(named("time constants"), ["rnn.tau"]);
  assert.equal(named("time-constants"), ["rnn.tau"]);
  assert.equal(named("rnn.hh.*"), ["rnn.hh.values", "rnn.hh.bias"]);
  assert.equal(named("*bias*"), ["rnn.hh.bias", "out_layer.1.bias"]);
  assert.is(named("*").length, PARAMETERS.length);
});

test("! chooses all others", () => {
  assert.equal(named("!read-out"), ["rnn.hh.values", "rnn.hh.bias", "rnn.ih.values", "rnn.tau"]);
  assert.equal(named("!rnn.*"), ["out_layer.1.weight", "out_layer.1.bias"]);
});

test("a pattern is a text, not a regular expression, and matches whole names", () => {
  for (const pattern of ["rnn", "rnn.hh.valu", "rnn.tau|read-out", "rnn?tau", ""]) {
    refused(() => named(pattern), /a name or role of parameters/);
  }
});

test("a pattern that matches nothing gets the nearest name", () => {
  refused(() => named("rnn.hh.value"), /got "rnn\.hh\.value", did you mean "rnn\.hh\.values"\? \(pattern\)/);
  refused(() => named("wieghts"), /got "wieghts", did you mean "weights"\?/);
  refused(() => named("!readout"), /did you mean "read-out"\?/);
  refused(() => named("elsewhere*"), /expected a name or role of parameters \(rnn\.hh\.values, .*weights, /);
  refused(() => named("!*"), /a pattern that leaves parameters, got "!\*", which excludes all/);
});

test("what the model has frozen is passed over by wildcards, and refused by name or role", () => {
  const trained = (pattern: string) => matchingTrainable("test", "pattern", pattern, PARAMETERS).map((p) => p.name);
  assert.equal(trained("*.values"), ["rnn.hh.values"]);
  assert.not.ok(trained("!read-out").includes("rnn.ih.values"));
  for (const pattern of ["rnn.ih.values", "input", "rnn.ih.*"])
    refused(() => trained(pattern), /parameters that the model trains, got ".*", which is rnn\.ih\.values, frozen/);
});

test.run();
