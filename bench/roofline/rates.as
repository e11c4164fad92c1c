// AssemblyScript: loops that reach the rates of a core in 128-bit SIMD. Compiled when a benchmark starts (compile.ts); the suffix
// keeps it out of the TypeScript build.

/** Reads `bytes` (a multiple of 128) `repeats` times; the sum keeps the loads alive. Eight accumulators hide the latency of add. */
export function read(from: usize, bytes: usize, repeats: i32): f32 {
  let a = f32x4.splat(0);
  let b = a;
  let c = a;
  let d = a;
  let e = a;
  let f = a;
  let g = a;
  let h = a;
  const end = from + bytes;
  for (let r = 0; r < repeats; r++) {
    for (let p = from; p < end; p += 128) {
      a = f32x4.add(a, v128.load(p));
      b = f32x4.add(b, v128.load(p, 16));
      c = f32x4.add(c, v128.load(p, 32));
      d = f32x4.add(d, v128.load(p, 48));
      e = f32x4.add(e, v128.load(p, 64));
      f = f32x4.add(f, v128.load(p, 80));
      g = f32x4.add(g, v128.load(p, 96));
      h = f32x4.add(h, v128.load(p, 112));
    }
  }
  a = f32x4.add(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), f32x4.add(f32x4.add(e, f), f32x4.add(g, h)));
  return f32x4.extract_lane(a, 0) + f32x4.extract_lane(a, 1) + f32x4.extract_lane(a, 2) + f32x4.extract_lane(a, 3);
}

/** Copies `bytes` (a multiple of 64) `repeats` times. */
export function copy(to: usize, from: usize, bytes: usize, repeats: i32): void {
  for (let r = 0; r < repeats; r++) {
    for (let i: usize = 0; i < bytes; i += 64) {
      v128.store(to + i, v128.load(from + i));
      v128.store(to + i, v128.load(from + i, 16), 16);
      v128.store(to + i, v128.load(from + i, 32), 32);
      v128.store(to + i, v128.load(from + i, 48), 48);
    }
  }
}

/** x ← x·m + c, `repeats` times on 12 vectors: 96 FLOP each. WASM has no fused multiply-add, so each takes two instructions. */
export function multiplyAdd(repeats: i32): f32 {
  const m = f32x4.splat(0.5);
  const c = f32x4.splat(1);
  let x0 = f32x4.splat(0);
  let x1 = x0;
  let x2 = x0;
  let x3 = x0;
  let x4 = x0;
  let x5 = x0;
  let x6 = x0;
  let x7 = x0;
  let x8 = x0;
  let x9 = x0;
  let xa = x0;
  let xb = f32x4.splat(1);
  for (let r = 0; r < repeats; r++) {
    x0 = f32x4.add(f32x4.mul(x0, m), c);
    x1 = f32x4.add(f32x4.mul(x1, m), c);
    x2 = f32x4.add(f32x4.mul(x2, m), c);
    x3 = f32x4.add(f32x4.mul(x3, m), c);
    x4 = f32x4.add(f32x4.mul(x4, m), c);
    x5 = f32x4.add(f32x4.mul(x5, m), c);
    x6 = f32x4.add(f32x4.mul(x6, m), c);
    x7 = f32x4.add(f32x4.mul(x7, m), c);
    x8 = f32x4.add(f32x4.mul(x8, m), c);
    x9 = f32x4.add(f32x4.mul(x9, m), c);
    xa = f32x4.add(f32x4.mul(xa, m), c);
    xb = f32x4.add(f32x4.mul(xb, m), c);
  }
  x0 = f32x4.add(f32x4.add(x0, x1), f32x4.add(x2, x3));
  x4 = f32x4.add(f32x4.add(x4, x5), f32x4.add(x6, x7));
  x8 = f32x4.add(f32x4.add(x8, x9), f32x4.add(xa, xb));
  return f32x4.extract_lane(f32x4.add(f32x4.add(x0, x4), x8), 0);
}
