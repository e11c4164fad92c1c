// Reductions over the slots of a workgroup, as a binary tree of fixed shape. Thread t holds slot t / STRIDE of column t % STRIDE.
// Relies on: SLOTS (a power of two), STRIDE; SLOTS·STRIDE = size of the workgroup.

var<workgroup> slotValues: array<vec4<f32>, SLOTS * STRIDE>;

const SUM = 0u;
const MAX = 1u;
const MIN = 2u;

/// What leaves other values as they are.
fn identityOf(how: u32) -> vec4<f32> {
  if (how == MAX) {
    return -infinity();
  }
  if (how == MIN) {
    return infinity();
  }
  return vec4<f32>(0.0);
}

fn combine(how: u32, a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  if (how == MAX) {
    return maxOf(a, b);
  }
  if (how == MIN) {
    return minOf(a, b);
  }
  return a + b;
}

/// Valid in slot 0. To be called by all threads of the workgroup.
fn reduceOverSlots(t: u32, how: u32, x: vec4<f32>) -> vec4<f32> {
  slotValues[t] = x;
  workgroupBarrier();
  for (var step = SLOTS / 2u; step > 0u; step >>= 1u) {
    if (t < step * STRIDE) {
      slotValues[t] = combine(how, slotValues[t], slotValues[t + step * STRIDE]);
    }
    workgroupBarrier();
  }
  let total = slotValues[t % STRIDE];
  workgroupBarrier();
  return total;
}

/// The four components of a vector combined.
fn combineComponents(how: u32, x: vec4<f32>) -> f32 {
  let pairs = combine(how, x, x.zwxy);
  return combine(how, pairs, pairs.yxwz).x;
}
