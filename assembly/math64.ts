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

/** a^b for a ≥ 0; NaN below. */
export function pow(a: f64, b: f64): f64 {
  if (b === 0) return 1;
  return a >= 0 ? NativeMath.pow(a, b) : NaN;
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

/** erf(1) rounded to f32. */
const ERF_ONE: f64 = 8.45062911510467529297e-1;

/** erf(x)/x − 1 as a function of z = x² on [0, 0.84375²]. */
function erfNear(z: f64): f64 {
  const p =
    1.28379167095512558561e-1 +
    z *
      (-3.2504210724700149937e-1 +
        z * (-2.84817495755985104766e-2 + z * (-5.77027029648944159157e-3 + z * -2.37630166566501626084e-5)));
  const q =
    1 +
    z *
      (3.97917223959155352819e-1 +
        z *
          (6.50222499887672944485e-2 +
            z * (5.08130628187576562776e-3 + z * (1.32494738004321644526e-4 + z * -3.9602282787753681232e-6))));
  return p / q;
}

/** erf(1 + s) − ERF_ONE on [−0.15625, 0.25]. */
function erfMiddle(s: f64): f64 {
  let p: f64 = -2.166375594868790843e-3;
  p = 3.54783043256182359371e-2 + s * p;
  p = -1.10894694282396677476e-1 + s * p;
  p = 3.18346619901161753674e-1 + s * p;
  p = -3.72207876035701323847e-1 + s * p;
  p = 4.14856118683748331666e-1 + s * p;
  p = -2.36211856075265944077e-3 + s * p;
  let q: f64 = 1.1984499846799107417e-2;
  q = 1.36370839120290507362e-2 + s * q;
  q = 1.26171219808761642112e-1 + s * q;
  q = 7.18286544141962662868e-2 + s * q;
  q = 5.40397917702171048937e-1 + s * q;
  q = 1.06420880400844228286e-1 + s * q;
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
  let r: f64 = -9.81432934416914548592;
  r = -8.12874355063065934246e1 + s * r;
  r = -1.84605092906711035994e2 + s * r;
  r = -1.62396669462573470355e2 + s * r;
  r = -6.23753324503260060396e1 + s * r;
  r = -1.05586262253232909814e1 + s * r;
  r = -6.93858572707181764372e-1 + s * r;
  r = -9.86494403484714822705e-3 + s * r;
  let q: f64 = -6.04244152148580987438e-2;
  q = 6.57024977031928170135 + s * q;
  q = 1.08635005541779435134e2 + s * q;
  q = 4.29008140027567833386e2 + s * q;
  q = 6.45387271733267880336e2 + s * q;
  q = 4.34565877475229228821e2 + s * q;
  q = 1.376577541435190426e2 + s * q;
  q = 1.96512716674392571292e1 + s * q;
  return r / (1 + s * q);
}

function erfcRatioAbove(s: f64): f64 {
  let r: f64 = -4.83519191608651397019e2;
  r = -1.02509513161107724954e3 + s * r;
  r = -6.37566443368389627722e2 + s * r;
  r = -1.60636384855821916062e2 + s * r;
  r = -1.77579549177547519889e1 + s * r;
  r = -7.99283237680523006574e-1 + s * r;
  r = -9.86494292470009928597e-3 + s * r;
  let q: f64 = -2.24409524465858183362e1;
  q = 4.74528541206955367215e2 + s * q;
  q = 2.55305040643316442583e3 + s * q;
  q = 3.19985821950859553908e3 + s * q;
  q = 1.53672958608443695994e3 + s * q;
  q = 3.25792512996573918826e2 + s * q;
  q = 3.03380607434824582924e1 + s * q;
  return r / (1 + s * q);
}
