// Elementary functions of f64 numbers: the reference precision, so accuracy (about 1 ulp) before speed. exp, log, log1p, pow and
// tanh are those of the AssemblyScript standard library (ports of musl and of ARM's optimized routines).

export function sigmoid(x: f64): f64 {
  const e = NativeMath.exp(-NativeMath.abs(x));
  return (x < 0 ? e : 1) / (1 + e);
}

/** ln(1 + e^x); x itself above 20, as torch. */
export function softplus(x: f64): f64 {
  if (x > 20) return x;
  return max<f64>(x, 0) + NativeMath.log1p(NativeMath.exp(-NativeMath.abs(x)));
}

/** a^b; NaN for a finite a < 0 unless b is whole; 1 for b = 0. */
export function pow(a: f64, b: f64): f64 {
  return b === 0 ? 1 : NativeMath.pow(a, b);
}

/**
 * erf x by the rational approximations of s_erf.c in FreeBSD's msun, whose notice is:
 *
 *   Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved.
 *   Developed at SunPro, a Sun Microsystems, Inc. business. Permission to use, copy, modify, and distribute this software is
 *   freely granted, provided that this notice is preserved.
 */
export function erf(x: f64): f64 {
  const t = NativeMath.abs(x);
  if (t < 0.84375) return x + x * erfNear(x * x);
  if (t < 1.25) return copysign<f64>(ERF_ONE + erfMiddle(t - 1), x);
  if (t < 6) return copysign<f64>(1 - erfcFar(t), x);
  return t >= 6 ? copysign<f64>(1, x) : x; // NaN stays NaN
}

/** erf(1) rounded to f32, as all coefficients here printed with the fewest digits that give the same double. */
const ERF_ONE: f64 = 0.8450629115104675;

/** erf(x)/x − 1 as a function of z = x² on [0, 0.84375²]. */
function erfNear(z: f64): f64 {
  const p =
    0.12837916709551256 +
    z * (-0.3250421072470015 + z * (-0.02848174957559851 + z * (-0.005770270296489442 + z * -2.3763016656650163e-5)));
  const q =
    1 +
    z *
      (0.39791722395915535 +
        z *
          (0.0650222499887673 + z * (0.005081306281875766 + z * (0.00013249473800432164 + z * -3.960228278775368e-6))));
  return p / q;
}

/** erf(1 + s) − ERF_ONE on [−0.15625, 0.25]. */
function erfMiddle(s: f64): f64 {
  let p: f64 = -0.002166375594868791;
  p = 0.035478304325618236 + s * p;
  p = -0.11089469428239668 + s * p;
  p = 0.31834661990116175 + s * p;
  p = -0.3722078760357013 + s * p;
  p = 0.41485611868374833 + s * p;
  p = -0.0023621185607526594 + s * p;
  let q: f64 = 0.011984499846799107;
  q = 0.01363708391202905 + s * q;
  q = 0.12617121980876164 + s * q;
  q = 0.07182865441419627 + s * q;
  q = 0.540397917702171 + s * q;
  q = 0.10642088040084423 + s * q;
  return p / (1 + s * q);
}

/** erfc(t) = e^(−t²)·e^(−0.5625 + R/S)/t on [1.25, 6], with t split so that e^(−t²) keeps its accuracy. */
function erfcFar(t: f64): f64 {
  const s = 1 / (t * t);
  const ratio = t < 1 / 0.35 ? erfcRatioBelow(s) : erfcRatioAbove(s);
  const z = reinterpret<f64>(reinterpret<u64>(t) & 0xffffffff00000000);
  return (NativeMath.exp(-z * z - 0.5625) * NativeMath.exp((z - t) * (z + t) + ratio)) / t;
}

function erfcRatioBelow(s: f64): f64 {
  let r: f64 = -9.814329344169145;
  r = -81.2874355063066 + s * r;
  r = -184.60509290671104 + s * r;
  r = -162.39666946257347 + s * r;
  r = -62.375332450326006 + s * r;
  r = -10.558626225323291 + s * r;
  r = -0.6938585727071818 + s * r;
  r = -0.009864944034847148 + s * r;
  let q: f64 = -0.0604244152148581;
  q = 6.570249770319282 + s * q;
  q = 108.63500554177944 + s * q;
  q = 429.00814002756783 + s * q;
  q = 645.3872717332679 + s * q;
  q = 434.56587747522923 + s * q;
  q = 137.65775414351904 + s * q;
  q = 19.651271667439257 + s * q;
  return r / (1 + s * q);
}

function erfcRatioAbove(s: f64): f64 {
  let r: f64 = -483.5191916086514;
  r = -1025.0951316110772 + s * r;
  r = -637.5664433683896 + s * r;
  r = -160.63638485582192 + s * r;
  r = -17.757954917754752 + s * r;
  r = -0.799283237680523 + s * r;
  r = -0.0098649429247001 + s * r;
  let q: f64 = -22.44095244658582;
  q = 474.52854120695537 + s * q;
  q = 2553.0504064331644 + s * q;
  q = 3199.8582195085955 + s * q;
  q = 1536.729586084437 + s * q;
  q = 325.7925129965739 + s * q;
  q = 30.33806074348246 + s * q;
  return r / (1 + s * q);
}
