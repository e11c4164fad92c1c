// Where a thread stands in a phase: a row, a panel, and a vec4 of the panel's lanes.

struct Tile {
  row: u32,
  panel: u32,
  sub: u32,
}
