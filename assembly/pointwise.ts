// Pointwise functions over tiles. `bytes` is always a multiple of 64: every array is padded to whole cache lines, tiles begin with one,
// so loops run over the end. Operands may be registers or memory, and the result may be one of the operands. A function is a class with one method, passed as a type so that the loops below compile to straight code for
// each of them; it is never constructed.

import { MODE_FULL, MODE_ROW_A } from "../src/backend/wasm/isa";
import * as math32 from "./math";
import * as math64 from "./math64";
import { zero } from "./vector";

// ---- loops ---------------------------------------------------------------------------------------------------------------

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

/** d = f(a, b). MODE_ROW_A, MODE_ROW_B: that operand has one number per row of `width` bytes. */
export function binary<T, F>(d: usize, a: usize, b: usize, bytes: usize, width: usize, mode: i32): void {
  const f = changetype<F>(0);
  if (mode !== MODE_FULL) {
    binaryRow<T, F>(d, a, b, bytes, width, mode === MODE_ROW_A);
    return;
  }
  for (const end = a + bytes; a < end; a += 64, b += 64, d += 64) {
    v128.store(d, f.of<T>(v128.load(a), v128.load(b)));
    v128.store(d, f.of<T>(v128.load(a, 16), v128.load(b, 16)), 16);
    v128.store(d, f.of<T>(v128.load(a, 32), v128.load(b, 32)), 32);
    v128.store(d, f.of<T>(v128.load(a, 48), v128.load(b, 48)), 48);
  }
}

/** `binary` with the first or the second operand broadcast: a line of 64 bytes meets up to four of its numbers. */
function binaryRow<T, F>(d: usize, a: usize, b: usize, bytes: usize, width: usize, rowA: bool): void {
  const f = changetype<F>(0);
  const shift = ctz(width);
  const at1 = (<usize>16 >> shift) * sizeof<T>();
  const at2 = (<usize>32 >> shift) * sizeof<T>();
  const at3 = (<usize>48 >> shift) * sizeof<T>();
  const full = rowA ? b : a;
  const row = rowA ? a : b;
  for (let i: usize = 0; i < bytes; i += 64) {
    const numbers = row + (i >> shift) * sizeof<T>();
    const y0 = v128.load_splat<T>(numbers);
    const y1 = v128.load_splat<T>(numbers + at1);
    const y2 = v128.load_splat<T>(numbers + at2);
    const y3 = v128.load_splat<T>(numbers + at3);
    const x0 = v128.load(full + i);
    const x1 = v128.load(full + i, 16);
    const x2 = v128.load(full + i, 32);
    const x3 = v128.load(full + i, 48);
    v128.store(d + i, rowA ? f.of<T>(y0, x0) : f.of<T>(x0, y0));
    v128.store(d + i, rowA ? f.of<T>(y1, x1) : f.of<T>(x1, y1), 16);
    v128.store(d + i, rowA ? f.of<T>(y2, x2) : f.of<T>(x2, y2), 32);
    v128.store(d + i, rowA ? f.of<T>(y3, x3) : f.of<T>(x3, y3), 48);
  }
}

/** d = f(a, b, c). */
export function ternary<T, F>(d: usize, a: usize, b: usize, c: usize, bytes: usize): void {
  const f = changetype<F>(0);
  for (const end = a + bytes; a < end; a += 64, b += 64, c += 64, d += 64) {
    v128.store(d, f.of<T>(v128.load(a), v128.load(b), v128.load(c)));
    v128.store(d, f.of<T>(v128.load(a, 16), v128.load(b, 16), v128.load(c, 16)), 16);
    v128.store(d, f.of<T>(v128.load(a, 32), v128.load(b, 32), v128.load(c, 32)), 32);
    v128.store(d, f.of<T>(v128.load(a, 48), v128.load(b, 48), v128.load(c, 48)), 48);
  }
}

// ---- functions -----------------------------------------------------------------------------------------------------------

/** 1 where the mask is set, else 0. */
function truth<T>(mask: v128): v128 {
  return v128.and(mask, v128.splat<T>(<T>1));
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

export class Neg {
  of<T>(x: v128): v128 {
    return v128.neg<T>(x);
  }
}

export class Abs {
  of<T>(x: v128): v128 {
    return v128.abs<T>(x);
  }
}

/** 1, −1, or x itself: ±0 and NaN. */
export class Sign {
  of<T>(x: v128): v128 {
    const negative = v128.bitselect(v128.splat<T>(<T>-1), x, v128.lt<T>(x, zero<T>()));
    return v128.bitselect(v128.splat<T>(<T>1), negative, v128.gt<T>(x, zero<T>()));
  }
}

export class Sqrt {
  of<T>(x: v128): v128 {
    return v128.sqrt<T>(x);
  }
}

export class Floor {
  of<T>(x: v128): v128 {
    return v128.floor<T>(x);
  }
}

/** x < 0 ? 0 : x, so NaN stays. */
export class Relu {
  of<T>(x: v128): v128 {
    return v128.pmax<T>(x, zero<T>());
  }
}

export class IsFinite {
  of<T>(x: v128): v128 {
    return truth<T>(v128.eq<T>(v128.sub<T>(x, x), zero<T>()));
  }
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

export class Add {
  of<T>(a: v128, b: v128): v128 {
    return v128.add<T>(a, b);
  }
}

export class Sub {
  of<T>(a: v128, b: v128): v128 {
    return v128.sub<T>(a, b);
  }
}

export class Mul {
  of<T>(a: v128, b: v128): v128 {
    return v128.mul<T>(a, b);
  }
}

export class Div {
  of<T>(a: v128, b: v128): v128 {
    return v128.div<T>(a, b);
  }
}

/** NaN if either is NaN. */
export class Min {
  of<T>(a: v128, b: v128): v128 {
    return v128.min<T>(a, b);
  }
}

/** NaN if either is NaN. */
export class Max {
  of<T>(a: v128, b: v128): v128 {
    return v128.max<T>(a, b);
  }
}

export class Lt {
  of<T>(a: v128, b: v128): v128 {
    return truth<T>(v128.lt<T>(a, b));
  }
}

export class Le {
  of<T>(a: v128, b: v128): v128 {
    return truth<T>(v128.le<T>(a, b));
  }
}

export class Eq {
  of<T>(a: v128, b: v128): v128 {
    return truth<T>(v128.eq<T>(a, b));
  }
}

export class Pow {
  of<T>(a: v128, b: v128): v128 {
    return sizeof<T>() === 4 ? math32.pow(a, b) : pair(math64.pow(low(a), low(b)), math64.pow(high(a), high(b)));
  }
}

/** a ≠ 0 ? b : c. NaN ≠ 0. */
export class Select {
  of<T>(a: v128, b: v128, c: v128): v128 {
    return v128.bitselect(c, b, v128.eq<T>(a, zero<T>()));
  }
}

/** a + b·c, rounded twice. */
export class MulAdd {
  of<T>(a: v128, b: v128, c: v128): v128 {
    return v128.add<T>(a, v128.mul<T>(b, c));
  }
}

/** a − b·c, rounded twice. */
export class MulSub {
  of<T>(a: v128, b: v128, c: v128): v128 {
    return v128.sub<T>(a, v128.mul<T>(b, c));
  }
}

/** b·c − a, rounded twice. */
export class MulRsub {
  of<T>(a: v128, b: v128, c: v128): v128 {
    return v128.sub<T>(v128.mul<T>(b, c), a);
  }
}
