// Addresses, and the assertions of the debug build. Everything here works on plain addresses of the shared memory; the host
// owns its layout (src/backend/wasm/arena.ts).

/** First byte that the host's arena may use: above the static data and the stack of this module. */
export function heapBase(): usize {
  return __heap_base;
}

/** Address of the slot at `at`: a register of this thread, or the tile's part of an array. */
export function slot(at: usize, tile: usize, registers: usize): usize {
  const stride = <usize>load<u32>(at, 4);
  return <usize>load<u32>(at) + (stride === 0 ? registers : tile * stride);
}

/** Debug build: traps unless the `bytes` bytes at `address` lie in the host's part of memory. Release build: nothing. */
export function checkRange(address: usize, bytes: usize): void {
  if (!ASC_NO_ASSERT) {
    assert(address >= __heap_base, "address below the arena");
    assert(<u64>address + <u64>bytes <= (<u64>memory.size()) << 16, "address beyond the end of memory");
  }
}

/** Debug build: traps unless `index` is below `extent`. Release build: nothing. */
export function checkIndex(index: usize, extent: usize): void {
  if (!ASC_NO_ASSERT) assert(index < extent, "index out of range");
}
