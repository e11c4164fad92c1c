// Reductions over the slots of a workgroup, as a binary tree of fixed shape. Thread t holds slot t / STRIDE of column t % STRIDE.
// Relies on: SLOTS (a power of four), STRIDE; SLOTS·STRIDE = size of the workgroup.

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

/// Every thread gets the total of its column. To be called by all threads of the workgroup. The tree is binary; two of its levels are
/// taken at once, as each costs a barrier.
fn reduceOverSlots(t: u32, how: u32, x: vec4<f32>) -> vec4<f32> {
  slotValues[t] = x;
  workgroupBarrier();
  for (var step = SLOTS / 4u * STRIDE; step >= STRIDE; step /= 4u) {
    if (t < step) {
      let even = combine(how, slotValues[t], slotValues[t + 2u * step]);
      let odd = combine(how, slotValues[t + step], slotValues[t + 3u * step]);
      slotValues[t] = combine(how, even, odd);
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
