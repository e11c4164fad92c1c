// Threefry-2x32 with 20 rounds on four counters at once: bit for bit src/core/random.ts (source there).

const PARITY = 0x1bd11bdau;
const ROTATIONS = array<u32, 8>(13u, 15u, 26u, 6u, 17u, 29u, 16u, 24u);

/// Uniform in [0, 1): the upper 24 bits of the first word of threefry(key; counter = (row, sampleId)).
fn uniformAt(key: vec2<u32>, row: vec4<u32>, sampleId: vec4<u32>) -> vec4<f32> {
  var keys = array<u32, 3>(key.x, key.y, PARITY ^ key.x ^ key.y);
  var rotations = ROTATIONS;
  var x0 = row + key.x;
  var x1 = sampleId + key.y;
  for (var round = 0u; round < 20u; round++) {
    let r = rotations[round & 7u];
    x0 += x1;
    x1 = ((x1 << vec4<u32>(r)) | (x1 >> vec4<u32>(32u - r))) ^ x0;
    if ((round & 3u) == 3u) {
      let s = (round >> 2u) + 1u;
      x0 += keys[s % 3u];
      x1 += keys[(s + 1u) % 3u] + s;
    }
  }
  return vec4<f32>(x0 >> vec4<u32>(8u)) * 0x1p-24f;
}
