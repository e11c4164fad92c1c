// Elementary functions of f32 vectors, in f32 arithmetic only: + − × ÷, floor, minimum and maximum, bit casts and selects, each
// operation rounded once. kernels/shared/math.wgsl prints the same formulas. Every function is right at ±0, ±Infinity, NaN and
// for subnormal numbers; the errors are the largest found against f64 (test/assembly/math.test.ts asserts the bounds).
//
// Coefficients named "Cephes" are those of S. L. Moshier, Methods and Programs for Mathematical Functions (1989), single
// precision: expf.c, logf.c, sinf.c, tanhf.c. The others were fitted for this file: weighted least squares on 400 Chebyshev nodes,
// reweighted (Lawson's algorithm) until the largest relative error of the function levels out, then rounded to f32.
//
// Coefficients are loaded from static memory, one instruction each: a constant vector in the code is put together from two immediate
// numbers whenever it is needed (V8 on x86). Tables begin with the highest power.

const ONE: usize = memory.data<f32>([1]);
const HALF: usize = memory.data<f32>([0.5]);
const EXPONENT_BIAS: usize = memory.data<f32>([12582912 + 127]);
/** Added to a whole number of at most 22 bits, it brings them into the lowest bits of the significand: 1.5·2^23. */
const WHOLE: usize = memory.data<f32>([12582912]);
const EXP_MAX: usize = memory.data<f32>([89]);
const EXP_MIN: usize = memory.data<f32>([-104]);
// biome-ignore lint/suspicious/noApproximativeNumericConstant: static data is made of literals
const LOG2_E: usize = memory.data<f32>([1.4426950408889634]);
/** ln 2 in two parts (Cephes): the first has 10 significant bits, so its product with k is exact for |k| < 2^14. */
const LN2_HIGH: usize = memory.data<f32>([0.693359375]);
const LN2_LOW: usize = memory.data<f32>([-2.1219444e-4]);
/** (e^r − 1 − r)/r² on |r| ≤ ln 2 / 2 (Cephes). */
const EXP: usize = memory.data<f32>([
  1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
]);
/** (ln(1 + t) − t + t²/2)/t³ (Cephes). */
const LOG: usize = memory.data<f32>([
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
]);
/** From this size on sin and cos do not reduce their argument in f32. */
const LARGE_ANGLE: f32 = 3216;
const TWO_OVER_PI: usize = memory.data<f32>([0.63661977]);
/** π/2 in three parts. The first two have 13 significant bits, so their products with k are exact for |k| < 2^11. */
const HALF_PI: usize = memory.data<f32>([1.57080078125, -4.454515874385834e-6, 6.0771006e-11]);
/** (sin r − r)/r³ and (cos r − 1 + r²/2)/r⁴ in powers of r² on |r| ≤ π/4 (Cephes). */
const SIN: usize = memory.data<f32>([-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]);
const COS: usize = memory.data<f32>([2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]);
/** (tanh x − x)/x³ in powers of x² (Cephes). */
const TANH: usize = memory.data<f32>([
  -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1,
]);
/** (atanh s − s)/s³ in powers of s² ≤ 1/9. */
const ATANH: usize = memory.data<f32>([0.12145169, 0.10715267, 0.14308308, 0.19999444, 0.33333337]);
/** (erf t − t)/t in powers of t² < 1. */
const ERF_NEAR: usize = memory.data<f32>([
  7.889123e-5, -8.020842e-4, 5.1895357e-3, -2.6854444e-2, 0.112836, -0.37612626, 0.12837917,
]);
/** −ln(erfc t)/t on [1, 4]. */
const ERF_FAR: usize = memory.data<f32>([
  1.3962963e-5, -3.505972e-4, 3.7574975e-3, -2.4010113e-2, 0.10653091, 0.6349695, 1.1286943,
]);
/** Bits of sqrt(1/2): the significand of a logarithm's argument is brought into [sqrt(1/2), sqrt(2)). */
const SQRT_HALF_BITS: i32 = 0x3f3504f3;
const SMALLEST_NORMAL: f32 = 1.1754943508222875e-38;
const SIGN_BIT: i32 = 0x80000000;

function add(a: v128, b: v128): v128 {
  return f32x4.add(a, b);
}

function sub(a: v128, b: v128): v128 {
  return f32x4.sub(a, b);
}

function mul(a: v128, b: v128): v128 {
  return f32x4.mul(a, b);
}

function div(a: v128, b: v128): v128 {
  return f32x4.div(a, b);
}

function splat(x: f32): v128 {
  return f32x4.splat(x);
}

/** The number at `address` in all lanes. */
function constant(address: usize): v128 {
  return v128.load32_splat(address);
}

/** One step of Horner's rule: p·x + c, c = coefficient number `i` of `table`. */
function horner(p: v128, x: v128, table: usize, i: usize): v128 {
  return add(mul(p, x), constant(table + (i << 2)));
}

/** The first five coefficients of `table`, from the highest power on. */
function polynomial(x: v128, table: usize): v128 {
  let p = constant(table);
  p = horner(p, x, table, 1);
  p = horner(p, x, table, 2);
  p = horner(p, x, table, 3);
  return horner(p, x, table, 4);
}

/** `a` where the mask is set, else `b`. */
function where(mask: v128, a: v128, b: v128): v128 {
  return v128.bitselect(a, b, mask);
}

/** x clamped to at most `limit`; NaN stays NaN. */
function atMost(x: v128, limit: f32): v128 {
  return f32x4.pmin(x, splat(limit));
}

/** x clamped to at least `limit`; NaN stays NaN. */
function atLeast(x: v128, limit: f32): v128 {
  return f32x4.pmax(x, splat(limit));
}

/**
 * 2^k for whole −126 ≤ k ≤ 127, by building the exponent: k + 127 is a whole number, which the addition of 1.5·2^23 brings into the
 * lowest bits of the significand. (The same as converting to an integer, which takes many instructions on x86.)
 */
function exponential2(k: v128): v128 {
  return i32x4.shl(add(k, constant(EXPONENT_BIAS)), 23);
}

/**
 * e^x. Error ≤ 1 ulp. x = k·ln 2 + r with |r| ≤ ln 2 / 2, e^r = 1 + r + r²·P(r) (Cephes), times 2^k in two factors, so that the
 * result may be subnormal or overflow to Infinity.
 */
export function exp(x: v128): v128 {
  const clamped = expClamped(x);
  const k = exponentOfExp(clamped);
  const y = add(expTail(clamped, k), constant(ONE));
  const half = f32x4.floor(mul(k, constant(HALF)));
  return mul(mul(y, exponential2(half)), exponential2(sub(k, half)));
}

/** Beyond these limits e^x is 0 or Infinity. */
function expClamped(x: v128): v128 {
  return f32x4.pmax(f32x4.pmin(x, constant(EXP_MAX)), constant(EXP_MIN));
}

/** The whole number k for which x − k·ln 2 is smallest. */
function exponentOfExp(x: v128): v128 {
  return f32x4.floor(add(mul(x, constant(LOG2_E)), constant(HALF)));
}

/** e^r − 1 for r = x − k·ln 2: r + r²·P(r) (Cephes). */
function expTail(x: v128, k: v128): v128 {
  const r = sub(sub(x, mul(k, constant(LN2_HIGH))), mul(k, constant(LN2_LOW)));
  let p = polynomial(r, EXP);
  p = horner(p, r, EXP, 5);
  return add(mul(p, mul(r, r)), r);
}

/** ln m − (m − 1) + (m − 1)²/2 for the significand: t³·P(t) with t = m − 1 (Cephes). */
function logTail(t: v128): v128 {
  let p = polynomial(t, LOG);
  p = horner(p, t, LOG, 5);
  p = horner(p, t, LOG, 6);
  p = horner(p, t, LOG, 7);
  p = horner(p, t, LOG, 8);
  return mul(t, mul(mul(t, t), p));
}

/** `x` with subnormal numbers brought into the normal range, times 2^23. */
function normalised(x: v128): v128 {
  return where(f32x4.lt(x, splat(SMALLEST_NORMAL)), mul(x, splat(8388608)), x);
}

/** Exponent e of a normal positive number m·2^e with m in [sqrt(1/2), sqrt(2)), as whole numbers. */
function exponentOf(x: v128): v128 {
  return i32x4.shr_s(i32x4.sub(x, i32x4.splat(SQRT_HALF_BITS)), 23);
}

/** ln x. Error ≤ 1 ulp. ln(m·2^e) = e·ln 2 + ln m; −Infinity at 0, NaN below. */
export function log(x: v128): v128 {
  const n = normalised(x);
  const exponent = exponentOf(n);
  const t = sub(i32x4.sub(n, i32x4.shl(exponent, 23)), constant(ONE));
  const shift = where(f32x4.lt(x, splat(SMALLEST_NORMAL)), splat(23), splat(0));
  const e = sub(f32x4.convert_i32x4_s(exponent), shift);
  return logSpecial(x, logOf(t, e));
}

/** ln((1 + t)·2^e). */
function logOf(t: v128, e: v128): v128 {
  const tail = sub(add(logTail(t), mul(e, constant(LN2_LOW))), mul(constant(HALF), mul(t, t)));
  return add(add(t, tail), mul(e, constant(LN2_HIGH)));
}

/** The logarithm `y` of `x`, put right where x is 0, below 0, Infinity or NaN. */
function logSpecial(x: v128, y: v128): v128 {
  const infinite = where(f32x4.eq(x, splat(Infinity)), x, y);
  const atZero = where(f32x4.eq(x, splat(0)), splat(-Infinity), infinite);
  return where(f32x4.ge(x, splat(0)), atZero, splat(NaN));
}

/**
 * ln(1 + x). Error ≤ 2 ulp. 1 + x, rounded, only says which power of 2 to divide by: t = 2^−e·x + (2^−e − 1) is rounded once, as both terms
 * are exact, and ln(1 + x) = e·ln 2 + ln(1 + t). From 2^24 on, where they are not, 1 no longer counts and t is taken from the bits of 1 + x.
 */
export function log1p(x: v128): v128 {
  const u = add(constant(ONE), x);
  const exponent = exponentOf(u);
  const e = f32x4.convert_i32x4_s(exponent);
  const significand = i32x4.sub(u, i32x4.shl(exponent, 23));
  const scale = i32x4.shl(i32x4.sub(i32x4.splat(127), exponent), 23);
  const scaled = add(mul(x, scale), sub(scale, constant(ONE)));
  const t = where(f32x4.gt(e, splat(24)), sub(significand, constant(ONE)), scaled);
  const y = logSpecial(u, logOf(t, e));
  return where(f32x4.eq(x, splat(0)), x, y);
}

/**
 * e^x − 1. Error ≤ 2 ulp. With x = k·ln 2 + r as in `exp`: 2^k·(e^r − 1) + (2^k − 1), where the last term is exact up to k = 24; beyond, −1
 * no longer counts.
 */
export function expm1(x: v128): v128 {
  const clamped = expClamped(x);
  const k = exponentOfExp(clamped);
  const y = expTail(clamped, k);
  const half = f32x4.floor(mul(k, constant(HALF)));
  const first = exponential2(half);
  const second = exponential2(sub(k, half));
  const scale = mul(first, second);
  const near = add(mul(y, scale), sub(scale, constant(ONE)));
  const far = mul(mul(add(y, constant(ONE)), first), second);
  return where(f32x4.eq(x, splat(0)), x, where(f32x4.gt(k, splat(24)), far, near));
}

/** sin x. Error ≤ 3 ulp at every finite x; NaN at ±Infinity. */
export function sin(x: v128): v128 {
  const k = quarterTurns(x);
  const y = where(f32x4.eq(x, splat(0)), x, sinAfter(k, x, k));
  const large = isLargeAngle(x);
  return v128.any_true(large) ? where(large, each<Sine>(x), y) : y;
}

/** cos x = sin(x + π/2). Error ≤ 3 ulp at every finite x; NaN at ±Infinity. */
export function cos(x: v128): v128 {
  const k = quarterTurns(x);
  const y = sinAfter(add(k, constant(ONE)), x, k);
  const large = isLargeAngle(x);
  return v128.any_true(large) ? where(large, each<Cosine>(x), y) : y;
}

/** The number of quarter turns that is nearest to x. */
function quarterTurns(x: v128): v128 {
  return f32x4.floor(add(mul(x, constant(TWO_OVER_PI)), constant(HALF)));
}

/** sin(turns·π/2 + r), i.e. sin r, cos r, −sin r or −cos r, for the rest r = x − k·π/2 (Cody and Waite's reduction). */
function sinAfter(turns: v128, x: v128, k: v128): v128 {
  const first = sub(x, mul(k, constant(HALF_PI)));
  const r = sub(sub(first, mul(k, constant(HALF_PI + 4))), mul(k, constant(HALF_PI + 8)));
  const z = mul(r, r);
  const p = horner(horner(constant(SIN), z, SIN, 1), z, SIN, 2);
  const sine = add(r, mul(r, mul(z, p)));
  const q = horner(horner(constant(COS), z, COS, 1), z, COS, 2);
  const cosine = add(sub(mul(mul(q, z), z), mul(constant(HALF), z)), constant(ONE));
  // The lowest bits of the sum are those of the whole number.
  const bits = add(turns, constant(WHOLE));
  const isOdd = i32x4.eq(v128.and(bits, i32x4.splat(1)), i32x4.splat(1));
  return v128.xor(where(isOdd, cosine, sine), v128.and(i32x4.shl(bits, 30), i32x4.splat(SIGN_BIT)));
}

/** Where the reduction in f32 would not be exact; ±Infinity, too. */
function isLargeAngle(x: v128): v128 {
  return f32x4.ge(f32x4.abs(x), splat(LARGE_ANGLE));
}

class Sine {
  of(x: f64): f64 {
    return NativeMath.sin(x);
  }
}

class Cosine {
  of(x: f64): f64 {
    return NativeMath.cos(x);
  }
}

/** f of each lane in f64, whose reduction is exact for every number (Payne and Hanek 1983). */
function each<F>(x: v128): v128 {
  const f = changetype<F>(0);
  let y = f32x4.splat(<f32>f.of(<f64>f32x4.extract_lane(x, 0)));
  y = f32x4.replace_lane(y, 1, <f32>f.of(<f64>f32x4.extract_lane(x, 1)));
  y = f32x4.replace_lane(y, 2, <f32>f.of(<f64>f32x4.extract_lane(x, 2)));
  return f32x4.replace_lane(y, 3, <f32>f.of(<f64>f32x4.extract_lane(x, 3)));
}

/** 1/(1 + e^−x). Error ≤ 3 ulp. Uses e^−|x| only, so nothing overflows: the numerator is 1 or e^−|x|. */
export function sigmoid(x: v128): v128 {
  const e = exp(f32x4.neg(f32x4.abs(x)));
  return div(where(f32x4.lt(x, splat(0)), e, constant(ONE)), add(constant(ONE), e));
}

/** tanh x. Error ≤ 2 ulp. Below 0.625 an odd polynomial (Cephes), else 1 − 2/(e^2|x| + 1) with the sign of x. */
export function tanh(x: v128): v128 {
  const magnitude = f32x4.abs(x);
  const z = mul(x, x);
  const p = polynomial(z, TANH);
  const near = add(x, mul(x, mul(z, p)));
  const far = sub(constant(ONE), div(splat(2), add(exp(add(magnitude, magnitude)), constant(ONE))));
  return where(f32x4.lt(magnitude, splat(0.625)), near, withSignOf(far, x));
}

/** The number `y` ≥ 0 with the sign of `x`. */
function withSignOf(y: v128, x: v128): v128 {
  return v128.or(y, v128.and(x, i32x4.splat(SIGN_BIT)));
}

/**
 * ln(1 + e^x) = max(x, 0) + ln(1 + u) with u = e^−|x|. Error ≤ 3 ulp. ln(1 + u) = 2·atanh(s), s = u/(2 + u) ≤ 1/3, and
 * atanh(s) = s + s³·P(s²); P fitted on [0, 1/9], error of the function below 2^-33. Above 20 the sum rounds to x by itself.
 */
export function softplus(x: v128): v128 {
  const u = exp(f32x4.neg(f32x4.abs(x)));
  const s = div(u, add(splat(2), u));
  const z = mul(s, s);
  const p = polynomial(z, ATANH);
  const twice = add(s, s);
  return add(atLeast(x, 0), add(twice, mul(twice, mul(z, p))));
}

/**
 * erf x. Error ≤ 2 ulp. |x| < 1: x + x·P(x²), P fitted (2^-29). Else 1 − e^(−|x|·R(|x|)) with the sign of x, R = −ln(erfc t)/t
 * fitted on [1, 4] (2^-31); at 4 the result is 1.
 */
export function erf(x: v128): v128 {
  const t = atMost(f32x4.abs(x), 4);
  const z = mul(t, t);
  let p = polynomial(z, ERF_NEAR);
  p = horner(p, z, ERF_NEAR, 5);
  p = horner(p, z, ERF_NEAR, 6);
  const near = add(t, mul(t, p));
  let q = polynomial(t, ERF_FAR);
  q = horner(q, t, ERF_FAR, 5);
  q = horner(q, t, ERF_FAR, 6);
  const far = sub(constant(ONE), exp(f32x4.neg(mul(t, q))));
  return withSignOf(where(f32x4.lt(t, constant(ONE)), near, far), x);
}

/** The upper 12 bits of the significand (Veltkamp's splitting by a mask): products of two such numbers are exact. */
function upperPart(x: v128): v128 {
  return v128.and(x, i32x4.splat(0xfffff000));
}

/** a^b: |a|^b with the sign of a for an odd b; NaN for a finite a < 0 unless b is whole; 1 for b = 0. */
export function pow(a: v128, b: v128): v128 {
  const power = powOfMagnitude(f32x4.abs(a), b);
  const isWhole = f32x4.eq(f32x4.floor(b), b);
  const half = mul(b, constant(HALF));
  const isOdd = v128.and(isWhole, f32x4.ne(f32x4.floor(half), half));
  const signed = v128.xor(power, v128.and(v128.and(a, i32x4.splat(SIGN_BIT)), isOdd));
  const isNegative = v128.and(f32x4.lt(a, splat(0)), f32x4.gt(a, splat(-Infinity)));
  const real = where(v128.andnot(isNegative, isWhole), splat(NaN), signed);
  return where(f32x4.eq(b, splat(0)), constant(ONE), real);
}

/**
 * a^b = e^(b·ln a) for a ≥ 0. Relative error below 5e-7 for |b·ln a| < 20. One rounding of ln a would cost |b·ln a| ulp, so ln a is
 * kept as high + low (fast two-sum) and multiplied by b exactly (Dekker 1971), and e^(p + q) = e^p + e^p·q.
 */
function powOfMagnitude(a: v128, b: v128): v128 {
  const n = normalised(a);
  const exponent = exponentOf(n);
  const t = sub(i32x4.sub(n, i32x4.shl(exponent, 23)), constant(ONE));
  const shift = where(f32x4.lt(a, splat(SMALLEST_NORMAL)), splat(23), splat(0));
  const e = sub(f32x4.convert_i32x4_s(exponent), shift);
  // e·LN2_HIGH and t are exact; |t| < |e·LN2_HIGH| or e = 0, so the fast two-sum is exact, too.
  const whole = mul(e, constant(LN2_HIGH));
  const sum = add(whole, t);
  const rest = where(f32x4.eq(e, splat(0)), splat(0), sub(t, sub(sum, whole)));
  const tail = add(rest, sub(add(logTail(t), mul(e, constant(LN2_LOW))), mul(constant(HALF), mul(t, t))));
  const high = add(sum, tail);
  const low = sub(tail, sub(high, sum));
  const product = mul(b, high);
  const bUpper = upperPart(b);
  const bLower = sub(b, bUpper);
  const highUpper = upperPart(high);
  const highLower = sub(high, highUpper);
  let error = sub(mul(bUpper, highUpper), product);
  error = add(error, add(mul(bUpper, highLower), mul(bLower, highUpper)));
  error = add(add(error, mul(bLower, highLower)), mul(b, low));
  // Outside the range of e^x the correction could only turn Infinity into NaN.
  const correctable = f32x4.lt(f32x4.abs(product), splat(104));
  const y = exp(product);
  const finite = where(correctable, add(y, mul(y, error)), y);
  // At 0 and Infinity the logarithm has no two parts.
  const regular = v128.and(f32x4.gt(a, splat(0)), f32x4.lt(a, splat(Infinity)));
  return where(regular, finite, exp(mul(b, logSpecial(a, a))));
}
