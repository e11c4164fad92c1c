// Pointwise functions over tiles. A tile is an array of whole vectors; operands may be registers or memory, and the result may be one
// of the operands. A function is a class with one method, passed as a type so that the loops below compile to straight code for
// each of them; it is never constructed.

import { MODE_FULL, MODE_ROW_B } from "../src/backend/wasm/isa";
import * as math32 from "./math";
import * as math64 from "./math64";
import { zero } from "./vector";

// ---- loops ---------------------------------------------------------------------------------------------------------------

/** d = f(a), `bytes` a multiple of 16. */
export function unary<T, F>(d: usize, a: usize, bytes: usize): void {
  const f = changetype<F>(0);
  for (let i: usize = 0; i < bytes; i += 16) v128.store(d + i, f.of<T>(v128.load(a + i)));
}

/** d = f(a, b). MODE_ROW_A, MODE_ROW_B: that operand has one number per row of `width` bytes. */
export function binary<T, F>(d: usize, a: usize, b: usize, bytes: usize, width: usize, mode: i32): void {
  const f = changetype<F>(0);
  if (mode === MODE_FULL) {
    for (let i: usize = 0; i < bytes; i += 16) v128.store(d + i, f.of<T>(v128.load(a + i), v128.load(b + i)));
  } else if (mode === MODE_ROW_B) {
    for (let i: usize = 0; i < bytes; b += sizeof<T>()) {
      const y = v128.splat<T>(load<T>(b));
      for (const end = i + width; i < end; i += 16) v128.store(d + i, f.of<T>(v128.load(a + i), y));
    }
  } else {
    for (let i: usize = 0; i < bytes; a += sizeof<T>()) {
      const x = v128.splat<T>(load<T>(a));
      for (const end = i + width; i < end; i += 16) v128.store(d + i, f.of<T>(x, v128.load(b + i)));
    }
  }
}

/** d = f(a, b, c). */
export function ternary<T, F>(d: usize, a: usize, b: usize, c: usize, bytes: usize): void {
  const f = changetype<F>(0);
  for (let i: usize = 0; i < bytes; i += 16) {
    v128.store(d + i, f.of<T>(v128.load(a + i), v128.load(b + i), v128.load(c + i)));
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
