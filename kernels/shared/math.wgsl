// Elementary functions of f32 vectors: the formulas of assembly/math.ts (errors, sources and coefficients are stated there), so that
// both executors compute the same numbers up to the roundings that WGSL leaves open: a product and a sum may be fused, a division
// may be off by 2.5 ulp. Adds at most 3 ulp to the bounds of assembly/math.ts.
// A sum of two products is written as fma: which of them a compiler fuses could differ from shader to shader.
//
// WGSL lets a compiler assume that no NaN or Infinity occurs, and NVIDIA's does so in min, max and comparisons: it takes a select between
// the two sides of a comparison for a min or max, which drops NaN, and may turn a comparison round. What must hold for NaN is therefore
// decided by tests of bits, and chosen as bits: whole numbers that a compiler knows nothing about. Arithmetic is left to the hardware, which
// passes NaN on. The special numbers are made at run time, since a constant expression may not yield them.

const LOG2_E = 1.4426950408889634f;
// ln 2 in two parts (Cephes): k·LN2_HIGH is exact for |k| < 2^14.
const LN2_HIGH = 0.693359375f;
const LN2_LOW = -2.12194440e-4f;
const SQRT_HALF_BITS = 0x3f3504f3i;
const SMALLEST_NORMAL_BITS = 0x00800000u;
const SIGN_BIT = 0x80000000u;
const TINY_BITS = 0x32800000u; // 2^-26
const INFINITY_BITS = 0x7f800000u;
const NAN_BITS = 0x7fc00000u;

fn infinity() -> vec4<f32> {
  var bits = vec4<u32>(INFINITY_BITS);
  return bitcast<vec4<f32>>(bits);
}

fn quietNan() -> vec4<f32> {
  var bits = vec4<u32>(NAN_BITS);
  return bitcast<vec4<f32>>(bits);
}

/// Bits of |x|: ordered as the magnitudes are; above INFINITY_BITS for NaN.
fn magnitudeBits(x: vec4<f32>) -> vec4<u32> {
  return bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu);
}

fn isNan(x: vec4<f32>) -> vec4<bool> {
  return magnitudeBits(x) > vec4<u32>(INFINITY_BITS);
}

fn truth(condition: vec4<bool>) -> vec4<f32> {
  return select(vec4<f32>(0.0), vec4<f32>(1.0), condition);
}

/// Neither is NaN, so that a comparison may hold.
fn areOrdered(a: vec4<f32>, b: vec4<f32>) -> vec4<bool> {
  return (magnitudeBits(a) <= vec4<u32>(INFINITY_BITS)) & (magnitudeBits(b) <= vec4<u32>(INFINITY_BITS));
}

fn ltOf(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  return truth((a < b) & areOrdered(a, b));
}

fn leOf(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  return truth((a <= b) & areOrdered(a, b));
}

fn eqOf(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  return truth((a == b) & areOrdered(a, b));
}

/// Where a condition is not 0: NaN is not, and neither is a subnormal number, which a device may take for 0 elsewhere.
fn holds(condition: vec4<f32>) -> vec4<bool> {
  return magnitudeBits(condition) != vec4<u32>(0u);
}

/// The number of these bits where a condition holds, else y.
fn bitsOr(condition: vec4<bool>, bits: vec4<u32>, y: vec4<f32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(select(bitcast<vec4<u32>>(y), bits, condition));
}

/// a where the condition is not 0, else b.
fn selectOf(condition: vec4<f32>, a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  return bitsOr(holds(condition), bitcast<vec4<u32>>(a), b);
}

/// NaN where x is NaN, else y: what y must be where x is NaN cannot be left to comparisons.
fn nanOr(x: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
  return bitsOr(isNan(x), bitcast<vec4<u32>>(x), y);
}

/// x where it is so small that f(x) = x to the last bit, for f with f(0) = 0 and slope 1 there; else y. The sign of 0 stays.
fn tinyOr(x: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
  return bitsOr(magnitudeBits(x) < vec4<u32>(TINY_BITS), bitcast<vec4<u32>>(x), y);
}

/// NaN and everything below −0: neither root nor logarithm.
fn isNanOrNegative(x: vec4<f32>) -> vec4<bool> {
  return isNan(x) | (bitcast<vec4<u32>>(x) > vec4<u32>(SIGN_BIT));
}

fn signOf(x: vec4<f32>) -> vec4<f32> {
  return nanOr(x, sign(x));
}

fn isFiniteOf(x: vec4<f32>) -> vec4<f32> {
  return truth(magnitudeBits(x) < vec4<u32>(INFINITY_BITS));
}

/// a if it is NaN, else b if that is NaN, else the smaller.
fn minOf(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  return nanOr(a, nanOr(b, select(b, a, a < b)));
}

fn maxOf(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  return nanOr(a, nanOr(b, select(b, a, a > b)));
}

/// WGSL says nothing of a root below 0, and lets x·(1/√x) stand for one, which is NaN at Infinity.
fn sqrtOf(x: vec4<f32>) -> vec4<f32> {
  let bits = bitcast<vec4<u32>>(x);
  let root = bitsOr(bits == vec4<u32>(INFINITY_BITS), bits, sqrt(x));
  return bitsOr(isNanOrNegative(x), vec4<u32>(NAN_BITS), root);
}

/// max(x, 0); NaN stays NaN.
fn reluOf(x: vec4<f32>) -> vec4<f32> {
  return nanOr(x, select(x, vec4<f32>(0.0), x < vec4<f32>(0.0)));
}

/// One step of Horner's rule: p·x + c.
fn horner(p: vec4<f32>, x: vec4<f32>, c: f32) -> vec4<f32> {
  return p * x + vec4<f32>(c);
}

/// 2^k for whole −126 ≤ k ≤ 127, by building the exponent.
fn exponential2(k: vec4<i32>) -> vec4<f32> {
  return bitcast<vec4<f32>>((k + vec4<i32>(127)) << vec4<u32>(23u));
}

/// y ≥ 0 with the sign of x.
fn withSignOf(y: vec4<f32>, x: vec4<f32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(bitcast<vec4<u32>>(y) | (bitcast<vec4<u32>>(x) & vec4<u32>(SIGN_BIT)));
}

/// Beyond these limits e^x is 0 or Infinity.
fn expClamped(x: vec4<f32>) -> vec4<f32> {
  let capped = select(x, vec4<f32>(89.0), x > vec4<f32>(89.0));
  return select(capped, vec4<f32>(-104.0), capped < vec4<f32>(-104.0));
}

/// The whole number k for which x − k·ln 2 is smallest.
fn exponentOfExp(x: vec4<f32>) -> vec4<f32> {
  return floor(x * LOG2_E + 0.5);
}

/// e^r − 1 for r = x − k·ln 2: r + r²·P(r) (Cephes).
fn expTail(x: vec4<f32>, k: vec4<f32>) -> vec4<f32> {
  let r = (x - k * LN2_HIGH) - k * LN2_LOW;
  var p = vec4<f32>(1.9875691500e-4);
  p = horner(p, r, 1.3981999507e-3);
  p = horner(p, r, 8.3334519073e-3);
  p = horner(p, r, 4.1665795894e-2);
  p = horner(p, r, 1.6666665459e-1);
  p = horner(p, r, 5.0000001201e-1);
  return p * (r * r) + r;
}

/// e^x = 2^k·e^r.
fn expOf(x: vec4<f32>) -> vec4<f32> {
  let clamped = expClamped(x);
  let k = exponentOfExp(clamped);
  let y = expTail(clamped, k) + 1.0;
  let exponent = vec4<i32>(k);
  let half = exponent >> vec4<u32>(1u);
  let scaled = y * exponential2(half) * exponential2(exponent - half);
  return nanOr(x, scaled);
}

/// e^x − 1 = 2^k·(e^r − 1) + (2^k − 1); from 2^25 on, −1 no longer counts.
fn expm1Of(x: vec4<f32>) -> vec4<f32> {
  let clamped = expClamped(x);
  let k = exponentOfExp(clamped);
  let y = expTail(clamped, k);
  let exponent = vec4<i32>(k);
  let half = exponent >> vec4<u32>(1u);
  let scale = exponential2(half) * exponential2(exponent - half);
  let near = y * scale + (scale - 1.0);
  let far = (y + 1.0) * exponential2(half) * exponential2(exponent - half);
  return tinyOr(x, nanOr(x, select(near, far, exponent > vec4<i32>(24))));
}

/// ln m − (m − 1) + (m − 1)²/2 for the significand m: t³·P(t) with t = m − 1 (Cephes).
fn logTail(t: vec4<f32>) -> vec4<f32> {
  var p = vec4<f32>(7.0376836292e-2);
  p = horner(p, t, -1.1514610310e-1);
  p = horner(p, t, 1.1676998740e-1);
  p = horner(p, t, -1.2420140846e-1);
  p = horner(p, t, 1.4249322787e-1);
  p = horner(p, t, -1.6668057665e-1);
  p = horner(p, t, 2.0000714765e-1);
  p = horner(p, t, -2.4999993993e-1);
  p = horner(p, t, 3.3333331174e-1);
  return t * ((t * t) * p);
}

/// A positive number as (m − 1) and e with x = m·2^e, m in [sqrt(1/2), sqrt(2)).
struct Parts {
  t: vec4<f32>,
  e: vec4<f32>,
}

fn partsOf(x: vec4<f32>) -> Parts {
  // Devices may take subnormal numbers for 0, so they are read as whole numbers: their bits count units of 2^-149.
  let small = bitcast<vec4<u32>>(x) < vec4<u32>(SMALLEST_NORMAL_BITS);
  let bits = bitcast<vec4<i32>>(select(x, vec4<f32>(bitcast<vec4<u32>>(x)), small));
  let exponent = (bits - vec4<i32>(SQRT_HALF_BITS)) >> vec4<u32>(23u);
  let significand = bitcast<vec4<f32>>(bits - (exponent << vec4<u32>(23u)));
  return Parts(significand - 1.0, vec4<f32>(exponent) - select(vec4<f32>(0.0), vec4<f32>(149.0), small));
}

/// The logarithm y of x, put right where x is 0, below 0, Infinity or NaN.
fn logSpecial(x: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
  let infinite = vec4<u32>(INFINITY_BITS);
  let right = bitsOr(bitcast<vec4<u32>>(x) == infinite, infinite, y);
  let atZero = bitsOr(magnitudeBits(x) == vec4<u32>(0u), vec4<u32>(SIGN_BIT) | infinite, right);
  return bitsOr(isNanOrNegative(x), vec4<u32>(NAN_BITS), atZero);
}

/// ln((1 + t)·2^e).
fn logOfParts(t: vec4<f32>, e: vec4<f32>) -> vec4<f32> {
  let tail = (logTail(t) + e * LN2_LOW) - 0.5 * (t * t);
  return (t + tail) + e * LN2_HIGH;
}

/// ln x = e·ln 2 + ln m.
fn logOf(x: vec4<f32>) -> vec4<f32> {
  let parts = partsOf(x);
  return logSpecial(x, logOfParts(parts.t, parts.e));
}

/// ln(1 + x) = e·ln 2 + ln(1 + t) with t = 2^−e·x + (2^−e − 1), both terms exact up to e = 24; beyond, 1 + x is x.
fn log1pOf(x: vec4<f32>) -> vec4<f32> {
  let u = 1.0 + x;
  let bits = bitcast<vec4<i32>>(u);
  let exponent = (bits - vec4<i32>(SQRT_HALF_BITS)) >> vec4<u32>(23u);
  let significand = bitcast<vec4<f32>>(bits - (exponent << vec4<u32>(23u)));
  let scale = exponential2(-exponent);
  let t = select(x * scale + (scale - 1.0), significand - 1.0, exponent > vec4<i32>(24));
  return tinyOr(x, logSpecial(u, logOfParts(t, vec4<f32>(exponent))));
}

const TWO_OVER_PI = 0.63661977f;
// π/2 in three parts: the products of the first two with k are exact for |k| < 2^11.
const HALF_PI_HIGH = 1.57080078125f;
const HALF_PI_MIDDLE = -4.454515874385834e-6f;
const HALF_PI_LOW = 6.0771006e-11f;
// From 3216 on they are not.
const LARGE_ANGLE_BITS = 0x45490000u;
/// The binary digits of 2/π, behind 32 zeros.
const TWO_OVER_PI_DIGITS = array<u32, 8>(
  0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu,
);

/// A number as quarter turns, which count modulo 4, and the rest in radians, at most π/4 in size.
struct Angle {
  turns: vec4<u32>,
  rest: vec4<f32>,
}

/// Cody and Waite's reduction, or for large numbers that of Payne and Hanek.
fn angleOf(x: vec4<f32>) -> Angle {
  let k = floor(x * TWO_OVER_PI + 0.5);
  let rest = ((x - k * HALF_PI_HIGH) - k * HALF_PI_MIDDLE) - k * HALF_PI_LOW;
  var angle = Angle(bitcast<vec4<u32>>(vec4<i32>(k)), rest);
  let isLarge = magnitudeBits(x) >= vec4<u32>(LARGE_ANGLE_BITS);
  if (any(isLarge)) {
    for (var i = 0u; i < 4u; i++) {
      if (!isLarge[i]) { continue; }
      let reduced = largeAngle(bitcast<u32>(x[i]));
      angle.turns[i] = reduced.turns;
      angle.rest[i] = reduced.rest;
    }
  }
  return angle;
}

/// High and low half of the product.
fn wideProduct(a: u32, b: u32) -> vec2<u32> {
  let crossed = (a & 0xffffu) * (b >> 16u);
  let middle = (((a & 0xffffu) * (b & 0xffffu)) >> 16u) + (crossed & 0xffffu) + (a >> 16u) * (b & 0xffffu);
  return vec2<u32>((a >> 16u) * (b >> 16u) + (crossed >> 16u) + (middle >> 16u), a * b);
}

struct LargeAngle {
  turns: u32,
  rest: f32,
}

/// x·2/π modulo 4 in fixed point, for the bits of an x of at least 2^11 (Payne and Hanek 1983). Of x = m·2^e with a whole m, digits of 2/π
/// whose weight, times 2^e, is 4 or more add whole turns. The 96 digits from weight 2 on are enough: no f32 comes nearer than 2^-30 to a
/// whole number of quarter turns.
fn largeAngle(bits: u32) -> LargeAngle {
  let m = (bits & 0x007fffffu) | 0x00800000u;
  let position = ((bits >> 23u) & 0xffu) - 120u;
  let word = position >> 5u;
  let shift = position & 31u;
  var digits = array<u32, 3>();
  for (var i = 0u; i < 3u; i++) {
    let next = TWO_OVER_PI_DIGITS[word + i + 1u] >> 1u;
    digits[i] = (TWO_OVER_PI_DIGITS[word + i] << shift) | (next >> (31u - shift));
  }
  let middle = wideProduct(m, digits[1]);
  let carried = wideProduct(m, digits[2]).x;
  let low = middle.y + carried;
  let high = m * digits[0] + middle.x + select(0u, 1u, low < carried);
  // high:low counts units of 2^-62 quarter turns. What is left beside the nearest whole number is a signed fraction of 64 digits.
  let turns = (high + 0x20000000u) >> 30u;
  let fraction = vec2<u32>((high << 2u) | (low >> 30u), low << 2u);
  let isNegative = fraction.x > 0x7fffffffu;
  let size = select(fraction, ~fraction, isNegative);
  let zeros = min(countLeadingZeros(size.x), 31u);
  let leading = (size.x << zeros) | ((size.y >> 1u) >> (31u - zeros));
  let rest = f32(leading) * bitcast<f32>((95u - zeros) << 23u) * 1.5707964f;
  let isBelow = bits > SIGN_BIT;
  return LargeAngle(select(turns, 0u - turns, isBelow), select(rest, -rest, isNegative != isBelow));
}

/// sin(turns·π/2 + r), i.e. sin r, cos r, −sin r or −cos r, by polynomials (Cephes).
fn sinAfter(turns: vec4<u32>, r: vec4<f32>) -> vec4<f32> {
  let z = r * r;
  var p = vec4<f32>(-1.9515295891e-4);
  p = horner(p, z, 8.3321608736e-3);
  p = horner(p, z, -1.6666654611e-1);
  let sine = r + r * (z * p);
  var q = vec4<f32>(2.443315711809948e-5);
  q = horner(q, z, -1.388731625493765e-3);
  q = horner(q, z, 4.166664568298827e-2);
  let cosine = fma(q * z, z, -0.5 * z) + 1.0;
  let y = select(sine, cosine, (turns & vec4<u32>(1u)) == vec4<u32>(1u));
  return bitcast<vec4<f32>>(bitcast<vec4<u32>>(y) ^ ((turns << vec4<u32>(30u)) & vec4<u32>(SIGN_BIT)));
}

/// NaN where x is NaN or infinite, else y.
fn nanUnlessFinite(x: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
  return bitsOr(magnitudeBits(x) >= vec4<u32>(INFINITY_BITS), vec4<u32>(NAN_BITS), y);
}

fn sinOf(x: vec4<f32>) -> vec4<f32> {
  let angle = angleOf(x);
  return tinyOr(x, nanUnlessFinite(x, sinAfter(angle.turns, angle.rest)));
}

fn cosOf(x: vec4<f32>) -> vec4<f32> {
  let angle = angleOf(x);
  return nanUnlessFinite(x, sinAfter(angle.turns + vec4<u32>(1u), angle.rest));
}

/// 1/(1 + e^−x) by e^−|x| only, so nothing overflows.
fn sigmoidOf(x: vec4<f32>) -> vec4<f32> {
  let e = expOf(-abs(x));
  return nanOr(x, select(vec4<f32>(1.0), e, x < vec4<f32>(0.0)) / (1.0 + e));
}

/// tanh x: below 0.625 an odd polynomial (Cephes), else 1 − 2/(e^2|x| + 1) with the sign of x.
fn tanhOf(x: vec4<f32>) -> vec4<f32> {
  let magnitude = abs(x);
  let z = x * x;
  var p = vec4<f32>(-5.70498872745e-3);
  p = horner(p, z, 2.06390887954e-2);
  p = horner(p, z, -5.37397155531e-2);
  p = horner(p, z, 1.33314422036e-1);
  p = horner(p, z, -3.33332819422e-1);
  let near = x + x * (z * p);
  // From 10 on the quotient is below half an ulp of 1; the cap keeps a division by Infinity out of it.
  let capped = select(magnitude, vec4<f32>(10.0), magnitude > vec4<f32>(10.0));
  let far = 1.0 - 2.0 / (expOf(capped + capped) + 1.0);
  return nanOr(x, select(withSignOf(far, x), near, magnitude < vec4<f32>(0.625)));
}

/// ln(1 + e^x) = max(x, 0) + 2·atanh(s), s = u/(2 + u), u = e^−|x|.
fn softplusOf(x: vec4<f32>) -> vec4<f32> {
  let u = expOf(-abs(x));
  let s = u / (2.0 + u);
  let z = s * s;
  var p = vec4<f32>(0.12145169);
  p = horner(p, z, 0.10715267);
  p = horner(p, z, 0.14308308);
  p = horner(p, z, 0.19999444);
  p = horner(p, z, 0.33333337);
  let twice = s + s;
  return reluOf(x) + (twice + twice * (z * p));
}

/// erf x: |x| < 1: x + x·P(x²); else 1 − e^(−|x|·R(|x|)) with the sign of x; at 4 the result is 1.
fn erfOf(x: vec4<f32>) -> vec4<f32> {
  let magnitude = abs(x);
  let t = select(magnitude, vec4<f32>(4.0), magnitude > vec4<f32>(4.0));
  let z = t * t;
  var p = vec4<f32>(7.889123e-5);
  p = horner(p, z, -8.020842e-4);
  p = horner(p, z, 5.1895357e-3);
  p = horner(p, z, -2.6854444e-2);
  p = horner(p, z, 0.112836);
  p = horner(p, z, -0.37612626);
  p = horner(p, z, 0.12837917);
  let near = t + t * p;
  var q = vec4<f32>(1.3962963e-5);
  q = horner(q, t, -3.505972e-4);
  q = horner(q, t, 3.7574975e-3);
  q = horner(q, t, -2.4010113e-2);
  q = horner(q, t, 0.10653091);
  q = horner(q, t, 0.6349695);
  q = horner(q, t, 1.1286943);
  let far = 1.0 - expOf(-(t * q));
  return nanOr(x, withSignOf(select(far, near, t < vec4<f32>(1.0)), x));
}

/// x with the lower `bits` of its significand zero. Unlike a sum and a difference, which compilers cancel, this is opaque to them.
fn truncated(x: vec4<f32>, bits: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) & vec4<u32>(0xffffffffu << bits));
}

/// a^b: |a|^b with the sign of a for an odd b; NaN for a finite a < 0 unless b is whole; 1 for b = 0.
fn powOf(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  let bits = bitcast<vec4<u32>>(a);
  let power = powOfMagnitude(bitcast<vec4<f32>>(magnitudeBits(a)), b);
  let isWhole = floor(b) == b;
  let isOdd = isWhole & (floor(0.5 * b) != 0.5 * b);
  let sign = select(vec4<u32>(0u), bits & vec4<u32>(SIGN_BIT), isOdd);
  let signed = bitcast<vec4<f32>>(bitcast<vec4<u32>>(power) ^ sign);
  let isNegative = (bits > vec4<u32>(SIGN_BIT)) & (magnitudeBits(a) < vec4<u32>(INFINITY_BITS));
  let real = bitsOr(isNegative & !isWhole, vec4<u32>(NAN_BITS), signed);
  return select(real, vec4<f32>(1.0), magnitudeBits(b) == vec4<u32>(0u));
}

/// a^b = e^(b·ln a) for a ≥ 0. One rounding of ln a would cost |b·ln a| ulp, so ln a = high + low and b·ln a = product + error are kept in
/// two parts. The first part is short: products of 12 by 12 bits are exact, fused or not. (assembly/math.ts splits by two-sums, which
/// compilers of WGSL may undo; the error is the same.)
fn powOfMagnitude(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  let parts = partsOf(a);
  let t = parts.t;
  let e = parts.e;
  let whole = e * LN2_HIGH;
  let tail = (logTail(t) + e * LN2_LOW) - 0.5 * (t * t);
  let high = truncated((whole + t) + tail, 12u);
  // Exact up to the last addition: e·LN2_HIGH, t and high are multiples of one small power of 2.
  let low = ((whole - high) + t) + tail;
  let bHigh = truncated(b, 12u);
  let rest = fma(b - bHigh, high, b * low);
  let product = truncated(bHigh * high + rest, 8u);
  let error = (bHigh * high - product) + rest;
  let y = expOf(product);
  // What has overflowed has no correction: it could only become NaN.
  let correctable = (magnitudeBits(y) < vec4<u32>(INFINITY_BITS)) & (abs(product) < vec4<f32>(104.0));
  let finite = select(y, y + y * (error + 0.5 * (error * error)), correctable);
  // Neither the logarithm of 0 and Infinity nor an infinite b has two parts.
  let bits = bitcast<vec4<u32>>(a);
  let regular = (bits > vec4<u32>(0u)) & (max(bits, magnitudeBits(b)) < vec4<u32>(INFINITY_BITS));
  return select(expOf(b * logSpecial(a, high)), finite, regular);
}
