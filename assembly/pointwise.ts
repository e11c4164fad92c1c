// Pointwise functions that take long, over tiles; all others are generated code (src/backend/wasm/codegen.ts). `bytes` is always a multiple
// of 64: every array is padded to whole cache lines, tiles begin with one, so loops run over the end. Operands may be registers or
// memory, and the result may be one of the operands. A function of one operand is a class with one method, passed as a type so that
// the loop compiles to straight code for each of them; it is never constructed.

import * as math32 from "./math";
import * as math64 from "./math64";

/** d = f(a). Two vectors at a time share the constants of a polynomial. */
export function unary<T, F>(d: usize, a: usize, bytes: usize): void {
  const f = changetype<F>(0);
  for (const end = a + bytes; a < end; a += 32, d += 32) {
    const y0 = f.of<T>(v128.load(a));
    const y1 = f.of<T>(v128.load(a, 16));
    v128.store(d, y0);
    v128.store(d, y1, 16);
  }
}

/** d = a^b. */
export function pow<T>(d: usize, a: usize, b: usize, bytes: usize): void {
  for (const end = a + bytes; a < end; a += 16, b += 16, d += 16) {
    v128.store(d, power<T>(v128.load(a), v128.load(b)));
  }
}

function power<T>(a: v128, b: v128): v128 {
  return sizeof<T>() === 4 ? math32.pow(a, b) : pair(math64.pow(low(a), low(b)), math64.pow(high(a), high(b)));
}

/** A vector of two doubles. */
function pair(low: f64, high: f64): v128 {
  return f64x2.replace_lane(f64x2.splat(low), 1, high);
}

function low(x: v128): f64 {
  return f64x2.extract_lane(x, 0);
}

function high(x: v128): f64 {
  return f64x2.extract_lane(x, 1);
}

export class Exp {
  of<T>(x: v128): v128 {
    return sizeof<T>() === 4 ? math32.exp(x) : pair(NativeMath.exp(low(x)), NativeMath.exp(high(x)));
  }
}

export class Log {
  of<T>(x: v128): v128 {
    return sizeof<T>() === 4 ? math32.log(x) : pair(NativeMath.log(low(x)), NativeMath.log(high(x)));
  }
}

export class Sigmoid {
  of<T>(x: v128): v128 {
    return sizeof<T>() === 4 ? math32.sigmoid(x) : pair(math64.sigmoid(low(x)), math64.sigmoid(high(x)));
  }
}

export class Tanh {
  of<T>(x: v128): v128 {
    return sizeof<T>() === 4 ? math32.tanh(x) : pair(NativeMath.tanh(low(x)), NativeMath.tanh(high(x)));
  }
}

export class Softplus {
  of<T>(x: v128): v128 {
    return sizeof<T>() === 4 ? math32.softplus(x) : pair(math64.softplus(low(x)), math64.softplus(high(x)));
  }
}

export class Erf {
  of<T>(x: v128): v128 {
    return sizeof<T>() === 4 ? math32.erf(x) : pair(math64.erf(low(x)), math64.erf(high(x)));
  }
}
