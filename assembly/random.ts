// Threefry-2x32 with 20 rounds, four counters at a time; the same bits as src/core/random.ts.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11 (Random123), §3.2.

const PARITY: i32 = 0x1bd11bda;

/**
 * to[row, lane] = the uniform number in [0, 1) of counter (firstRow + row, sampleId[row, lane]): 24 bits, exact in f32.
 * `width`: numbers per row, 1 or a multiple of 4. Writes whole groups of four numbers.
 */
export function random<T>(to: usize, key: usize, sampleId: usize, firstRow: usize, rows: usize, width: usize): void {
  const k0 = i32x4.splat(load<i32>(key));
  const k1 = i32x4.splat(load<i32>(key, 4));
  const consecutive = width === 1 ? i32x4(0, 1, 2, 3) : i32x4.splat(0);
  for (let i: usize = 0; i < rows * width; i += 4) {
    const row = i32x4.add(i32x4.splat(<i32>(firstRow + i / width)), consecutive);
    const bits = i32x4.shr_u(threefry(k0, k1, row, unsigned4<T>(sampleId + i * sizeof<T>())), 8);
    storeUniform<T>(to + i * sizeof<T>(), bits);
  }
}

/** Four whole numbers as u32. */
function unsigned4<T>(address: usize): v128 {
  if (sizeof<T>() === 4) return i32x4.trunc_sat_f32x4_u(v128.load(address));
  const low = i32x4.trunc_sat_f64x2_u_zero(v128.load(address));
  const high = i32x4.trunc_sat_f64x2_u_zero(v128.load(address, 16));
  return v128.shuffle<i64>(low, high, 0, 2);
}

/** Four 24-bit numbers times 2^-24. */
function storeUniform<T>(address: usize, bits: v128): void {
  if (sizeof<T>() === 4) {
    v128.store(address, f32x4.mul(f32x4.convert_i32x4_u(bits), f32x4.splat(5.9604644775390625e-8)));
    return;
  }
  const scale = f64x2.splat(5.9604644775390625e-8);
  v128.store(address, f64x2.mul(f64x2.convert_low_i32x4_u(bits), scale));
  v128.store(address, f64x2.mul(f64x2.convert_low_i32x4_u(v128.shuffle<i64>(bits, bits, 1, 1)), scale), 16);
}

/** First output word of Threefry-2x32-20 for the counters (c0, c1). */
function threefry(k0: v128, k1: v128, c0: v128, c1: v128): v128 {
  const k2 = v128.xor(v128.xor(k0, k1), i32x4.splat(PARITY));
  let x0 = i32x4.add(c0, k0);
  let x1 = i32x4.add(c1, k1);
  // Four rounds, then a key injection; rotations repeat every eight rounds, keys every three injections.
  for (let injection = 1; injection <= 5; injection++) {
    const odd = (injection & 1) === 1;
    x0 = i32x4.add(x0, x1);
    x1 = v128.xor(rotate(x1, odd ? 13 : 17), x0);
    x0 = i32x4.add(x0, x1);
    x1 = v128.xor(rotate(x1, odd ? 15 : 29), x0);
    x0 = i32x4.add(x0, x1);
    x1 = v128.xor(rotate(x1, odd ? 26 : 16), x0);
    x0 = i32x4.add(x0, x1);
    x1 = v128.xor(rotate(x1, odd ? 6 : 24), x0);
    const phase = injection % 3;
    x0 = i32x4.add(x0, phase === 0 ? k0 : phase === 1 ? k1 : k2);
    const next = phase === 0 ? k1 : phase === 1 ? k2 : k0;
    x1 = i32x4.add(i32x4.add(x1, next), i32x4.splat(injection));
  }
  return x0;
}

function rotate(x: v128, bits: i32): v128 {
  return v128.or(i32x4.shl(x, bits), i32x4.shr_u(x, 32 - bits));
}
