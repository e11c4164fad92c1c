// The kernels: pointwise functions that take long, over tiles; all others are generated code (src/backend/wasm/codegen.ts). The host puts
// the exports in the module's table by name, and a program calls them as it calls generated code, with an operand table: slots of what is
// read, then of the result (src/backend/wasm/isa.ts). `bytes` is a multiple of 64: every array is padded to whole cache lines and tiles
// begin with one, so loops run over the end. The result may be one of the operands.
//
// A function is a class with a method for a vector of f32 and one for a number in f64. The class is a type parameter, so that the loop
// compiles to straight code for each of them; it is never constructed.

import { OPERAND_BYTES } from "../src/backend/wasm/isa";
import * as math32 from "./math";
import * as math64 from "./math64";
import { checkRange, slot } from "./memory";

/** Address of operand number `i`. */
function operand(table: usize, i: usize, tile: usize, registers: usize, bytes: usize): usize {
  const address = slot(table + i * OPERAND_BYTES, tile, registers);
  checkRange(address, bytes);
  return address;
}

/** d = f(a) in f32. Two vectors at a time share the constants of a polynomial. */
function unaryF32<F>(table: usize, tile: usize, registers: usize, bytes: usize): void {
  const f = changetype<F>(0);
  let a = operand(table, 0, tile, registers, bytes);
  let d = operand(table, 1, tile, registers, bytes);
  for (const end = a + bytes; a < end; a += 32, d += 32) {
    const y0 = f.vector(v128.load(a));
    const y1 = f.vector(v128.load(a, 16));
    v128.store(d, y0);
    v128.store(d, y1, 16);
  }
}

/** d = f(a) in f64. */
function unaryF64<F>(table: usize, tile: usize, registers: usize, bytes: usize): void {
  const f = changetype<F>(0);
  let a = operand(table, 0, tile, registers, bytes);
  let d = operand(table, 1, tile, registers, bytes);
  for (const end = a + bytes; a < end; a += 8, d += 8) store<f64>(d, f.number(load<f64>(a)));
}

export function powF32(table: usize, tile: usize, registers: usize, bytes: usize): void {
  let a = operand(table, 0, tile, registers, bytes);
  let b = operand(table, 1, tile, registers, bytes);
  let d = operand(table, 2, tile, registers, bytes);
  for (const end = a + bytes; a < end; a += 16, b += 16, d += 16) {
    v128.store(d, math32.pow(v128.load(a), v128.load(b)));
  }
}

export function powF64(table: usize, tile: usize, registers: usize, bytes: usize): void {
  let a = operand(table, 0, tile, registers, bytes);
  let b = operand(table, 1, tile, registers, bytes);
  let d = operand(table, 2, tile, registers, bytes);
  for (const end = a + bytes; a < end; a += 8, b += 8, d += 8) {
    store<f64>(d, math64.pow(load<f64>(a), load<f64>(b)));
  }
}

class Exp {
  vector(x: v128): v128 {
    return math32.exp(x);
  }
  number(x: f64): f64 {
    return NativeMath.exp(x);
  }
}

export function expF32(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF32<Exp>(table, tile, registers, bytes);
}

export function expF64(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF64<Exp>(table, tile, registers, bytes);
}

class Log {
  vector(x: v128): v128 {
    return math32.log(x);
  }
  number(x: f64): f64 {
    return NativeMath.log(x);
  }
}

export function logF32(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF32<Log>(table, tile, registers, bytes);
}

export function logF64(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF64<Log>(table, tile, registers, bytes);
}

class Log1p {
  vector(x: v128): v128 {
    return math32.log1p(x);
  }
  number(x: f64): f64 {
    return NativeMath.log1p(x);
  }
}

export function log1pF32(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF32<Log1p>(table, tile, registers, bytes);
}

export function log1pF64(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF64<Log1p>(table, tile, registers, bytes);
}

class Expm1 {
  vector(x: v128): v128 {
    return math32.expm1(x);
  }
  number(x: f64): f64 {
    return NativeMath.expm1(x);
  }
}

export function expm1F32(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF32<Expm1>(table, tile, registers, bytes);
}

export function expm1F64(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF64<Expm1>(table, tile, registers, bytes);
}

class Sin {
  vector(x: v128): v128 {
    return math32.sin(x);
  }
  number(x: f64): f64 {
    return NativeMath.sin(x);
  }
}

export function sinF32(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF32<Sin>(table, tile, registers, bytes);
}

export function sinF64(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF64<Sin>(table, tile, registers, bytes);
}

class Cos {
  vector(x: v128): v128 {
    return math32.cos(x);
  }
  number(x: f64): f64 {
    return NativeMath.cos(x);
  }
}

export function cosF32(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF32<Cos>(table, tile, registers, bytes);
}

export function cosF64(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF64<Cos>(table, tile, registers, bytes);
}

class Sigmoid {
  vector(x: v128): v128 {
    return math32.sigmoid(x);
  }
  number(x: f64): f64 {
    return math64.sigmoid(x);
  }
}

export function sigmoidF32(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF32<Sigmoid>(table, tile, registers, bytes);
}

export function sigmoidF64(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF64<Sigmoid>(table, tile, registers, bytes);
}

class Tanh {
  vector(x: v128): v128 {
    return math32.tanh(x);
  }
  number(x: f64): f64 {
    return NativeMath.tanh(x);
  }
}

export function tanhF32(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF32<Tanh>(table, tile, registers, bytes);
}

export function tanhF64(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF64<Tanh>(table, tile, registers, bytes);
}

class Softplus {
  vector(x: v128): v128 {
    return math32.softplus(x);
  }
  number(x: f64): f64 {
    return math64.softplus(x);
  }
}

export function softplusF32(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF32<Softplus>(table, tile, registers, bytes);
}

export function softplusF64(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF64<Softplus>(table, tile, registers, bytes);
}

class Erf {
  vector(x: v128): v128 {
    return math32.erf(x);
  }
  number(x: f64): f64 {
    return math64.erf(x);
  }
}

export function erfF32(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF32<Erf>(table, tile, registers, bytes);
}

export function erfF64(table: usize, tile: usize, registers: usize, bytes: usize): void {
  unaryF64<Erf>(table, tile, registers, bytes);
}
