// The backend-neutral program: what autodiff produces and the executors (WASM, WebGPU) run. Data only, no behaviour.
//
// A program is a list of *phases*. A phase is one parallel loop over the tiles of a space; inside it, a straight list of
// instructions in SSA form runs tile by tile. A contraction is an instruction like any other: it fills a tile (its rows of
// W·X, say), and pointwise instructions around it are its prologue and epilogue. What a contraction *gathers* must lie in
// memory already, so a phase starts only when the phases before it are complete.
//
// Spaces. A value has `rows` (1 or n) and is either per lane or not. A lane is one sample of the batch.
//   state   rows × lanes   one number per neuron and sample
//   row     rows × 1       one number per neuron (bias, tau); broadcast over lanes inside a state phase
//   sample  1 × lanes      one number per sample (t, dt, error ratio)
//   scalar  1 × 1          one number (learning rate, loss)
// Memory. Lanes are cut into panels of `panel` samples; a state of n rows is stored [nPanels][n][panel], a sample vector
// [nPanels][panel] (i.e. lanes contiguous), a row vector [n]. See docs of PanelLayout.

/** What a value varies with: rows and samples, rows, samples, or nothing. */
export type Kind = "state" | "row" | "sample" | "scalar";

/** How a batch lies in memory: `panels` panels of `panel` lanes each (4, 8 or 16). Lane = panelIdx·panel + lane in panel. */
export interface PanelLayout {
  readonly panel: 4 | 8 | 16;
  readonly panels: number;
}

/** What a binding holds. `table`: `depth` states behind one another; `nnz`: stored values of a sparse matrix in CSC order. */
export type BindingKind =
  | Kind
  | "table" //  [depth] states; read by `lookup`, accumulated by `scatter`
  | "sparse" // a SparseOperand: structure (CSR + CSC + permutation) and the values in both orders
  | "nnz" //    vector of nnz elements in CSC order (values, or their gradient)
  | "dense" //  row-major [rows, cols] matrix
  | "index" //  u32 vector
  | "key"; //   two u32: the key of the counter-based generator

/** A named operand of a program: what kind of array it is, how large, and whether it is read or written. */
export interface Binding {
  readonly name: string;
  readonly kind: BindingKind;
  /** state, row, table, index: number of rows; nnz: number of stored values; sparse, dense: rows of the matrix; else 1. */
  readonly rows: number;
  /** sparse, dense: columns of the matrix; table: depth; else absent. */
  readonly cols?: number;
  readonly access: "read" | "write" | "readwrite";
  /** Temporaries belong to the program: the executor allocates them, may share memory between those whose lives do not overlap. */
  readonly temp?: { readonly firstPhase: number; readonly lastPhase: number };
}

/** Lane-by-lane functions of one number x. */
export type UnaryOp =
  | "neg" //      −x
  | "abs" //      |x|
  | "sign" //     −1, 0 or 1
  | "exp" //      e^x
  | "log" //      natural; NaN below 0, −Infinity at 0
  | "log1p" //    log(1 + x), accurate near 0; NaN below −1, −Infinity at −1
  | "expm1" //    e^x − 1, accurate near 0
  | "sin" //      NaN at ±Infinity; accurate at every finite x
  | "cos" //      NaN at ±Infinity; accurate at every finite x
  | "sqrt" //     NaN below 0
  | "floor" //    the largest whole number that is not above x
  | "relu" //     max(x, 0); NaN stays NaN
  | "sigmoid" //  1/(1 + e^-x)
  | "tanh" //     (e^x − e^-x)/(e^x + e^-x)
  | "softplus" // log(1 + e^x), x itself above 20 (as torch)
  | "erf" //      2/√π · ∫ e^(−s²) ds from 0 to x
  | "isFinite"; // 1 for a finite number, 0 for ±Infinity and NaN
/** Lane-by-lane functions of two numbers a, b. Comparisons give 1 or 0. */
export type BinaryOp =
  | "add" // a + b
  | "sub" // a − b
  | "mul" // a·b
  | "div" // a/b
  | "min" // NaN if either is NaN
  | "max" // NaN if either is NaN
  | "lt"
  | "le"
  | "eq"
  | "pow"; //  a^b; NaN for a < 0 unless b is whole; a^0 = 1, also of NaN
/** `select(c, a, b)`: a where c ≠ 0, else b; the unused branch may be NaN. */
export type TernaryOp = "select";
export type PointwiseOp = UnaryOp | BinaryOp | TernaryOp;

/** A value of a phase: the index of the instruction that made it. */
export type ValueId = number;
/** An index into `Program.bindings`. */
export type BindingId = number;

/** One instruction of a phase. Its result is the value of its index in the list. */
export type Instr =
  // ---- sources -------------------------------------------------------------------------------------------------------
  /** The tile's part of a state; a row, sample or scalar broadcast to the tile. In a `lanes: "none"` phase a row is the tile. */
  | { readonly op: "load"; readonly binding: BindingId }
  | { readonly op: "const"; readonly value: number }
  /** The row number (0, 1, …) as a float. */
  | { readonly op: "rowIndex" }
  /** table[index[lane]][row, lane]; `index` is a per-sample value (whole numbers as floats, already in range). */
  | { readonly op: "lookup"; readonly table: BindingId; readonly index: ValueId }
  /** Uniform in [0, 1), 24 bits: threefry2x32-20(key; counter = (row, sampleId)), first word >>> 8, times 2^-24. */
  | { readonly op: "random"; readonly key: BindingId; readonly sampleId: ValueId }
  /** source[index[row]] of a row vector, nnz vector; only in `lanes: "none"` phases. */
  | { readonly op: "gather"; readonly source: BindingId; readonly index: BindingId }
  /** Σ source[members[k]] for k = offsets[row] … offsets[row + 1] − 1, from the left: rows are segments of a row or nnz vector,
   *  `offsets` has rows + 1 entries; only in `lanes: "none"` phases. */
  | { readonly op: "segmentSum"; readonly source: BindingId; readonly offsets: BindingId; readonly members: BindingId }
  /** The transpose of gather: Σ source[k] over the k with index[k] = row. With `offsets` that of segmentSum: Σ source[j] over the entries
   *  k = offsets[j] … offsets[j + 1] − 1 of all segments j with index[k] = row. Fixed order for any number of threads; only in
   *  `lanes: "none"` phases. */
  | {
      readonly op: "gatherT";
      readonly source: BindingId;
      readonly index: BindingId;
      readonly offsets: BindingId | null;
    }
  // ---- pointwise -----------------------------------------------------------------------------------------------------
  | { readonly op: PointwiseOp; readonly args: readonly ValueId[] }
  // ---- contractions: the tile's rows of a product; the bound operand is gathered, so it must be complete ---------------
  /** W·X. Tile rows = rows of W. W is "sparse" (CSR walk) or "dense" (row-major [rows, cols]). */
  | { readonly op: "matmul"; readonly matrix: BindingId; readonly x: BindingId }
  /** Wᵀ·G, and, in the same walk over the columns of W, grad += (G·Xᵀ) at the stored entries (all entries if dense).
   *  Tile rows = columns of W; `x` is a value of this phase (the tile's rows of X). `grad` is "nnz" in CSC order, or "dense".
   *  With `needCt: false` only the gradient is wanted and the result value must not be used. */
  | {
      readonly op: "matmulT";
      readonly matrix: BindingId;
      readonly g: BindingId;
      readonly needCt: boolean;
      readonly grad?: { readonly x: ValueId; readonly binding: BindingId };
    }
  // ---- effects -------------------------------------------------------------------------------------------------------
  /** binding = value, or += with `accumulate`. The binding's kind equals the phase's space. */
  | { readonly op: "store"; readonly binding: BindingId; readonly value: ValueId; readonly accumulate: boolean }
  /** table[index[lane]][row, lane] += value. */
  | { readonly op: "scatter"; readonly table: BindingId; readonly index: ValueId; readonly value: ValueId }
  /** Reduction over rows: state value → sample binding; in a `lanes: "none"` phase row value → scalar binding (norms of
   *  gradients). Complete after the phase; fixed order for any number of threads. */
  | {
      readonly op: "reduceRows";
      readonly binding: BindingId;
      readonly value: ValueId;
      readonly how: "sum" | "max" | "min";
      readonly accumulate: boolean;
    }
  /** Sum over lanes: state value → row binding, or sample value → scalar binding. */
  | { readonly op: "reduceLanes"; readonly binding: BindingId; readonly value: ValueId; readonly accumulate: boolean };

/** A parallel loop over the rows of one space: a straight list of instructions that runs tile by tile. */
export interface Phase {
  /** Extent of the space: neurons, classes, … ; 1 for per-sample work. */
  readonly rows: number;
  /** "batch": rows × lanes. "none": plain vectors of `rows` numbers (optimiser, constraints; scalars with rows = 1). */
  readonly lanes: "batch" | "none";
  /** In dependency order; the ValueId of an instruction is its index here. */
  readonly instrs: readonly Instr[];
}

/** When a program need not run: for work that is enqueued before the host knows whether it is needed. */
export interface Guard {
  /** Scalars that the program only reads. It is idle where one of them is 0. */
  readonly scalars: readonly BindingId[];
  /**
   * "everything": an idle program has no effect. "states": phases of several rows may be left out, so that what they store is
   * undefined; phases of one row run.
   */
  readonly skips: "everything" | "states";
}

/** What a program is for: profiles and benchmarks add up by it. */
export type Purpose =
  | "forward" //    solving, and the projections before and after it
  | "reverse" //    pulling cotangents back through what is forward
  | "readout" //    read-out and loss, with their gradients
  | "parameters" // what follows a change of parameters: constraints, copies, values that connections share, and the reverse of these
  | "optimiser"; // updates, norms of gradients

/** What a device runs: bindings, and phases one after another. `lower` makes it of a graph. */
export interface Program {
  /** For messages, e.g. "attempt", "attempt.reverse". */
  readonly name: string;
  /** Absent: profiles know only the kinds of its phases. */
  readonly purpose?: Purpose;
  readonly bindings: readonly Binding[];
  readonly phases: readonly Phase[];
  readonly guard?: Guard;
}
