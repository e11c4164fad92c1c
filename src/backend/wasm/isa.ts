// The contract between the host (compile.ts, link.ts, pool.ts) and the interpreter (assembly/): opcodes, and where each word of
// an instruction, a step, an image and the control block lies. Imported by both sides, so it holds plain integers only.
//
// An *image* is a linked program in shared memory, as 32-bit words: header, steps, thread ranges, instructions, operand tables. All
// offsets within it are in bytes from its start; every other address is absolute.

// ---- image header (byte offsets) -----------------------------------------------------------------------------------------

/** Number of steps. */
export const IMAGE_STEPS = 0;
/** 1 when some step is split among threads: only then are the workers woken. */
export const IMAGE_PARALLEL = 4;
/** Address of thread 0's registers; thread t has its own `IMAGE_SCRATCH_BYTES` further on. */
export const IMAGE_SCRATCH = 8;
export const IMAGE_SCRATCH_BYTES = 12;
export const IMAGE_HEADER_BYTES = 16;

// ---- steps (byte offsets) ------------------------------------------------------------------------------------------------

export const STEP_KIND = 0;
/** Row in the profile table to which the time of the step is added. */
export const STEP_PROFILE = 4;
/** Phase: extent of the space. Combine: number of tiles, i.e. of partial results. */
export const STEP_ROWS = 8;
/** Phase: rows per tile. */
export const STEP_TILE_ROWS = 12;
/** Phase: offset of the instructions run once per thread (values that do not depend on the row), and their number. */
export const STEP_PROLOGUE = 16;
export const STEP_PROLOGUE_COUNT = 20;
/** Phase: offset of the instructions run for every tile, and their number. */
export const STEP_BODY = 24;
export const STEP_BODY_COUNT = 28;
/** Phase: offset of threads + 1 tile numbers; the share of thread t are the tiles from the t-th up to the next. */
export const STEP_RANGES = 32;
/** Combine: address of the partial results, of the result; bytes of one; HOW_…; whether the result is added to. */
export const STEP_PARTIALS = 12;
export const STEP_TARGET = 16;
export const STEP_WIDTH = 20;
export const STEP_HOW = 24;
export const STEP_ACCUMULATE = 28;
export const STEP_BYTES = 36;

/** Every thread runs its share of the tiles, then helps the others. */
export const KIND_PARALLEL = 0;
/** Thread 0 runs all tiles. */
export const KIND_SERIAL = 1;
/** All threads wait for one another. */
export const KIND_BARRIER = 2;
/** Thread 0 folds the partial results of a reduction over rows. */
export const KIND_COMBINE = 3;

// ---- instructions --------------------------------------------------------------------------------------------------------
// A record has an opcode, the bytes that one row of its result takes, four *slots* and three plain words. A slot is an address
// and a stride in bytes per tile; stride 0 marks a register: an offset into the scratch memory of the thread.

export const INSTR_OP = 0;
export const INSTR_WIDTH = 4;
/** The result (scatter, reductions: the value that goes out). */
export const INSTR_D = 8;
export const INSTR_A = 16;
export const INSTR_B = 24;
export const INSTR_C = 32;
export const INSTR_E = 40;
export const INSTR_F = 44;
export const INSTR_G = 48;
export const INSTR_BYTES = 52;
/** An entry of an operand table: a slot. */
export const OPERAND_BYTES = 8;

/** What a reduction does (INSTR_E, STEP_HOW). */
export const HOW_SUM = 0;
export const HOW_MAX = 1;
export const HOW_MIN = 2;

// Sources. D = result.
export const OP_CONST = 1; //         A: the number, as the bits of a double
export const OP_SPLAT_SCALAR = 2; //  A: address of one number
export const OP_SPLAT_SAMPLE = 3; //  A: address of one row, repeated for every row
export const OP_ROW_INDEX = 5;
export const OP_GATHER = 6; //        A: source, B: u32 indices, E: length of the source
export const OP_LOOKUP = 7; //        A: table, B: slot of the index, E: bytes of one state, F: depth
export const OP_RANDOM = 8; //        A: key, B: slot of the sample id
export const OP_SEGMENT_SUM = 9; //   A: source, B: u32 offsets and u32 members, E: length of the source
export const OP_GATHER_T = 10; //     A: source, B: u32 index and u32 offsets (0: none), E: length of the source, F: rows of the result

// The copy of a matrix's values from CSC to CSR order, in two passes (csrCopy.ts). Slot D: room for counts, and for values.
export const OP_TO_BLOCKS = 11; //  A: values in CSR and in CSC order, B: rowIdx and bytes per index, C: first places, E: shift, F: blocks, G: entries
export const OP_SORT_BLOCK = 12; // A: values in CSR order, B: rowPtr and rows of entries in their blocks, E: shift, F: rows

/**
 * A function in the module's table: a kernel (assembly/elementary.ts) or generated code (codegen.ts). A: address of its operand table, the
 * slots of what it reads and writes; E: its place in the table.
 */
export const OP_CALL = 24;

// Contractions. Pairs of words (B, C) are plain, not slots.
export const OP_SPMM = 64; //     A: X, B: rowPtr and colIdx, C: values and bytes per index, E: columns of W, G: where rows end
export const OP_SPMM_T = 65; //   A: slot of x, B: colPtr and rowIdx, C: values and bytes per index, E: G, F: gradient, G: places of entries (0: all)
export const OP_SPMM_T_CT = 66; //   the same without gradient
export const OP_SPMM_T_GRAD = 67; // the same without Wᵀ·G
export const OP_GEMM = 68; //     A: X, B: W and its columns
export const OP_GEMM_T = 69; //   A: G, B: W and its rows, C: its columns
export const OP_GEMM_GRAD = 70; // A: slot of x, B: gradient and its rows, C: its columns and G; D: room for a tile

// Effects.
export const OP_SCATTER = 80; //         as OP_LOOKUP; D: slot of the value
export const OP_REDUCE_LANES = 81; //    D: slot of the row vector, A: value, E: whether to add
export const OP_REDUCE_ROWS = 82; //     D: slot of the tile's partial result, A: value, E: HOW_…

// ---- control block (byte offsets) ----------------------------------------------------------------------------------------
// Words that threads wait on or count with; a cache line each, so that a waiting thread does not slow the others.

/** Number of jobs started so far; a worker waits for it to change. */
export const CONTROL_JOB = 0;
/** Address of the image of the job. */
export const CONTROL_IMAGE = 4;
/** Counts the barriers passed; threads at a barrier wait for it to change. */
export const CONTROL_GENERATION = 64;
/** Threads that have reached the barrier. */
export const CONTROL_ARRIVED = 128;
/** Not 0 once any thread has failed: the others leave their barriers and give up. */
export const CONTROL_FAILED = 192;
/** Number of threads. */
export const CONTROL_THREADS = 196;
/** Address of the profile table (pairs of doubles: milliseconds, runs), or 0 when nothing is measured. */
export const CONTROL_PROFILE = 200;
/** Modules of generated code made so far; a worker that has fewer takes the others from its port before it runs a job. */
export const CONTROL_MODULES = 204;
/** How many tiles of each thread's share have been taken, a cache line per thread; zero between phases. */
export const CONTROL_TAKEN = 256;
export const CONTROL_LINE = 64;

/** Partial results of a reduction are folded in blocks of this many rows, at every level: the order is fixed. */
export const REDUCE_BLOCK = 32;
