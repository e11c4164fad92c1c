// Learning rate, weight decay and freezing by parameter: each parameter takes the steps of an optimiser with its settings.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { ArgumentError } from "../../src/core/errors.ts";
import { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import { Adam, AdamW, type Optimizer, type OptimizerOptions, RMSprop, SGD } from "../../src/train/optimizer.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend, type WithBackend } from "../support/backends.ts";
import { assertBitEqual, assertClose } from "../support/close.ts";
import { onWebGpu } from "../support/onWebGpu.ts";

const SIZES = { "a.weight": 70, "a.bias": 70, "b.weight": 5, held: 3 } as const;
const TRAINED = ["a.weight", "a.bias", "b.weight"] as const;
const STEPS = 3;

const OPTIMISERS = [
  { name: "Adam", Optimiser: Adam, options: {} },
  { name: "AdamW", Optimiser: AdamW, options: {} },
  { name: "SGD", Optimiser: SGD, options: { momentum: 0.9 } },
  { name: "RMSprop", Optimiser: RMSprop, options: { centered: true, momentum: 0.5 } },
] as const;

function parametersOn(backend: Backend): ParameterSet {
  const parameters = new ParameterSet(backend);
  for (const [name, size] of Object.entries(SIZES))
    parameters.addVector(name, normals(name, size), { trainable: name !== "held" });
  return parameters;
}

/** Values after some steps, each with its factor, with the gradients of `names` set. */
async function stepped(
  backend: Backend,
  make: (parameters: ParameterSet) => Optimizer,
  scale: (name: string) => number = () => 1,
): Promise<Record<string, ArrayLike<number>>> {
  const parameters = parametersOn(backend);
  const optimizer = make(parameters);
  for (let k = 0; k < STEPS; k++) {
    for (const name of TRAINED) {
      const g = normals(`gradient ${k} ${name}`, SIZES[name]).map((x) => scale(name) * x);
      backend.upload(parameters.get(name).grad!, g);
    }
    optimizer.step(1 / (k + 1));
  }
  const values: Record<string, ArrayLike<number>> = {};
  for (const { name } of parameters.all()) values[name] = await parameters.values(name);
  optimizer.dispose();
  parameters.dispose();
  return values;
}

function define(test: Test<WithBackend>): void {
  for (const { name, Optimiser, options } of OPTIMISERS) {
    test(`${name}: a group's parameters take the steps of an optimiser with its settings, to the bit`, async ({
      backend,
    }) => {
      const making = (more: OptimizerOptions & { weightDecay?: number }) => (parameters: ParameterSet) =>
        new Optimiser(backend, parameters, { ...options, ...more });
      const grouped = await stepped(
        backend,
        making({
          lr: 0.05,
          groups: [
            { parameters: "*.bias", weightDecay: 0 },
            { parameters: "b.*", lr: 0.2, weightDecay: 0.25 },
          ],
        }),
      );
      const expected = {
        "a.weight": await stepped(backend, making({ lr: 0.05 })),
        "a.bias": await stepped(backend, making({ lr: 0.05, weightDecay: 0 })),
        "b.weight": await stepped(backend, making({ lr: 0.2, weightDecay: 0.25 })),
      };
      for (const parameter of TRAINED)
        assertBitEqual(grouped[parameter]!, expected[parameter][parameter]!, `${name}, ${parameter}`);
    });
  }

  test("a frozen parameter gets no step and no moments, and clipping takes its norm without it", async ({
    backend,
  }) => {
    const clip = { lr: 0.1, clipNorm: 2 };
    const groups = [{ parameters: "a.weight", frozen: true }];
    const start = normals("a.weight", SIZES["a.weight"]);
    const make = (options: object) => (parameters: ParameterSet) =>
      new SGD(backend, parameters, { ...clip, ...options });
    // A gradient that is not finite harms nothing where it is not used.
    const frozen = await stepped(backend, make({ groups }), (name) => (name === "a.weight" ? Number.NaN : 1));
    const without = await stepped(backend, make({}), (name) => (name === "a.weight" ? 0 : 1));
    assertClose(frozen["a.weight"]!, start, backend.dtype === "f64" ? 0 : 2 ** -22, "frozen");
    for (const name of ["a.bias", "b.weight"]) assertBitEqual(frozen[name]!, without[name]!, name);
    const clipped = await stepped(backend, make({}));
    assert.not.equal(clipped["b.weight"], frozen["b.weight"]);

    const parameters = parametersOn(backend);
    const adam = new Adam(backend, parameters, { groups });
    assert.equal(
      adam.trained.map(({ name }) => name),
      ["a.bias", "b.weight"],
    );
    const { kind, moments } = await adam.state();
    assert.is(kind, "Adam");
    assert.is(Object.keys(moments).length, 4);
    assert.equal(Object.keys(await adam.gradientNorms()), ["a.bias", "b.weight"]);
    adam.dispose();
    parameters.dispose();
  });

  test("the last group with an option decides it; the learning rate that changes is that of the others", async ({
    backend,
  }) => {
    const groups = [
      { parameters: "*", lr: 0.5, frozen: true },
      { parameters: "b.*", frozen: false },
      { parameters: "a.weight", lr: 0.25, frozen: false },
    ];
    const values = await stepped(backend, (parameters) => new SGD(backend, parameters, { groups }));
    const alone = (lr: number) => stepped(backend, (parameters) => new SGD(backend, parameters, { lr }));
    assertBitEqual(values["b.weight"]!, (await alone(0.5))["b.weight"]!, "0.5 from the first group");
    assertBitEqual(values["a.weight"]!, (await alone(0.25))["a.weight"]!, "0.25 from the last");
    assertClose(values["a.bias"]!, normals("a.bias", SIZES["a.bias"]), 2 ** -22, "frozen by the first");

    const changed = await stepped(backend, (parameters) => {
      const sgd = new SGD(backend, parameters, { lr: 1, groups: [{ parameters: "b.*", lr: 0.5 }] });
      sgd.lr = 0.25;
      return sgd;
    });
    assertBitEqual(changed["b.weight"]!, values["b.weight"]!, "its own");
    assertBitEqual(changed["a.weight"]!, values["a.weight"]!, "the optimiser's");
  });

  test("the state of another optimiser, or of other parameters, is refused and changes nothing", async ({
    backend,
  }) => {
    const parameters = parametersOn(backend);
    const adam = new Adam(backend, parameters);
    const state = await adam.state();
    const refuses = (optimizer: Optimizer, given: typeof state, message: RegExp): void => {
      assert.throws(
        () => optimizer.restore(given),
        (error: unknown) => error instanceof ArgumentError && message.test(error.message),
      );
    };
    const sgd = new SGD(backend, parameters);
    refuses(sgd, { ...state, step: 5 }, /SGD: expected the state of SGD, got that of Adam \(kind\)/);
    const { kind: _, ...old } = state;
    refuses(
      sgd,
      { ...old, step: 5 },
      /SGD: expected only moments of parameters that it trains.*\(exp_avg\.a\.weight\)/,
    );
    assert.is(sgd.stepCount, 0);
    const frozen = new Adam(backend, parameters, { groups: [{ parameters: "a.*", frozen: true }] });
    refuses(frozen, { ...state, step: 5 }, /only moments of parameters that it trains/);
    adam.restore({ ...old, step: 5 });
    assert.is(adam.stepCount, 5);
    for (const optimizer of [adam, sgd, frozen]) optimizer.dispose();
    parameters.dispose();
  });

  test("groups that make no sense are refused by name", ({ backend }) => {
    const parameters = parametersOn(backend);
    const refused = (groups: readonly object[], message: RegExp): void => {
      assert.throws(
        () => new Adam(backend, parameters, { groups: groups as OptimizerOptions["groups"] & object }),
        (error: unknown) => error instanceof ArgumentError && message.test(error.message),
      );
    };
    refused([{ parameters: "c.*", lr: 1 }], /Adam: expected .*\(groups\[0\]\.parameters\)/);
    refused([{ parameters: "a.wieght", lr: 1 }], /got "a\.wieght", did you mean "a\.weight"\?/);
    refused([{ parameters: "held", frozen: true }], /frozen by the model itself/);
    refused([{ lr: 1 }], /a pattern of names or roles, got undefined \(groups\[0\]\.parameters\)/);
    refused([{ parameters: "a.*" }], /lr, weightDecay or frozen, got none of them \(groups\[0\]\)/);
    refused([{ parameters: "a.*", lr: 0 }], /above 0, got 0 \(groups\[0\]\.lr\)/);
    refused(
      [
        { parameters: "a.*", lr: 1 },
        { parameters: "a.*", weightDecay: -1 },
      ],
      /groups\[1\]\.weightDecay/,
    );
    refused([{ parameters: "a.*", froze: true }], /expected groups\[0\].frozen, or another option, got "froze"/);
    refused([{ parameters: "a.*", frozen: "yes" }], /true or false, got yes \(groups\[0\]\.frozen\)/);
    refused([{ parameters: "*", frozen: true }], /at least one parameter that is trained, got all frozen \(groups\)/);
    const overridden = /parameters for which it has an effect, got "a\.bias".*\(groups\[0\]\.lr\)/;
    refused(
      [
        { parameters: "a.bias", lr: 1 },
        { parameters: "a.*", lr: 2 },
      ],
      overridden,
    );
    refused(
      [
        { parameters: "a.bias", lr: 1 },
        { parameters: "a.*", frozen: true },
      ],
      overridden,
    );
    parameters.dispose();
  });
}

forEachBackend("parameter groups", ["f64", "f32"], define);

onWebGpu("parameter groups", define);
