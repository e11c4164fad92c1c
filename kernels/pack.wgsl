// A state rounded to half precision, four lanes to a vec2<u32>, in the state's order: what sparse products gather with `gather: "f16"`.
//
// Relies on: declarations (params, slabs, isIdle(), halves), sourceAt(at) = four lanes of the state as bits; VECS.

// #hook declarations
// #hook source

const WORKGROUP = 256u;

/// The bits of four f32 as binary16: to nearest, ties to even. Integers do it, because `pack2x16float` may round either way and is not defined
/// beyond 65,504. Numbers that round beyond it become infinite; NaN stays NaN.
fn halvesOf(bits: vec4<u32>) -> vec4<u32> {
  let size = bits & vec4<u32>(0x7fffffffu);
  let exponent = size >> vec4<u32>(23u);
  // From 2^-14 on: the exponent counts from 15 instead of 127, and 13 digits go. A carry may reach the exponent.
  let rebased = size - vec4<u32>(0x38000000u);
  let normal = (rebased + vec4<u32>(0xfffu) + ((size >> vec4<u32>(13u)) & vec4<u32>(1u))) >> vec4<u32>(13u);
  // Below: multiples of 2^-24.
  let digits = (size & vec4<u32>(0x7fffffu)) | vec4<u32>(0x800000u);
  let shift = vec4<u32>(126u) - clamp(exponent, vec4<u32>(101u), vec4<u32>(112u));
  let below = (vec4<u32>(1u) << (shift - vec4<u32>(1u))) - vec4<u32>(1u);
  let subnormal = (digits + below + ((digits >> shift) & vec4<u32>(1u))) >> shift;
  let finite = select(subnormal, min(normal, vec4<u32>(0x7c00u)), exponent >= vec4<u32>(113u));
  let rounded = select(finite, vec4<u32>(0x7e00u), size > vec4<u32>(0x7f800000u));
  return rounded | ((bits >> vec4<u32>(16u)) & vec4<u32>(0x8000u));
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  if (isIdle(t)) {
    return;
  }
  let at = (workgroup.x + workgroup.y * count.x) * WORKGROUP + t;
  if (at < params.panels * VECS) {
    let h = halvesOf(sourceAt(at));
    halves[at] = h.xz | (h.yw << vec2<u32>(16u));
  }
}
