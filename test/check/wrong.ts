// Backends with one thing wrong, to prove that a check can fail.

import type { Backend } from "../../src/backend/backend.ts";
import type { Instr, Program } from "../../src/backend/program.ts";

type Overrides = { readonly [K in keyof Backend]?: (backend: Backend) => Backend[K] };

/** A backend that does as `backend` does but for some methods. */
function overriding(backend: Backend, overrides: Overrides): Backend {
  return new Proxy(backend, {
    get(target, key) {
      const override = Reflect.get(overrides, key) as ((backend: Backend) => unknown) | undefined;
      if (override) return override(target);
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** In programs whose name starts with `program`, what `mistake` does not return null for is another instruction. */
export function withWrongInstruction(
  backend: Backend,
  program: string,
  mistake: (instr: Instr) => Instr | null,
): Backend {
  return overriding(backend, {
    compile: (real) => (given, layout) =>
      real.compile(given.name.startsWith(program) ? mistaken(given, mistake) : given, layout),
  });
}

function mistaken(program: Program, mistake: (instr: Instr) => Instr | null): Program {
  const wrong = (instr: Instr): Instr => mistake(instr) ?? instr;
  return { ...program, phases: program.phases.map((phase) => ({ ...phase, instrs: phase.instrs.map(wrong) })) };
}

/** Constants between 0 and 1, as most coefficients of methods are, are off by one part in a thousand. */
export function wrongCoefficient(instr: Instr): Instr | null {
  const isCoefficient = instr.op === "const" && instr.value > 0 && instr.value < 1;
  return isCoefficient ? { ...instr, value: 1.001 * instr.value } : null;
}

/** Differences are sums. */
export function wrongSign(instr: Instr): Instr | null {
  return instr.op === "sub" ? { ...instr, op: "add" } : null;
}

/** Of every upload of `length` numbers, the largest one arrives with the wrong sign. */
export function withFlippedWeight(backend: Backend, length: number): Backend {
  return overriding(backend, {
    upload: (real) => (target, data, offset) => {
      if (data.length !== length) return real.upload(target, data, offset);
      const sent = Float64Array.from(data);
      const at = sent.reduce((best, w, k) => (Math.abs(w) > Math.abs(sent[best]!) ? k : best), 0);
      sent[at] = -sent[at]!;
      real.upload(target, sent, offset);
    },
  });
}
