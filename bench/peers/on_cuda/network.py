"""The network as raw arrays, operands, and exact results on a sample of rows, columns and entries."""

import json
import os

import numpy as np

SAMPLED_ROWS, LONGEST_ROWS, SAMPLED_ENTRIES = 64, 4, 512


class Network:
    """CSR and CSC on the host, and the positions of CSC's entries in CSR."""

    def __init__(self, folder):
        read = lambda name, kind: np.fromfile(os.path.join(folder, name), dtype=kind)
        with open(os.path.join(folder, "network.json"), encoding="utf8") as file:
            self.n = json.load(file)["neurons"]
        self.row_ptr, self.col_idx = read("rowPtr.u32", np.int32), read("colIdx.u32", np.int32)
        self.col_ptr, self.row_idx = read("colPtr.u32", np.int32), read("rowIdx.u32", np.int32)
        self.values, self.values_csc = read("values.f32", np.float32), read("valuesCsc.f32", np.float32)
        self.nnz = len(self.col_idx)
        self.rows = np.repeat(np.arange(self.n, dtype=np.int32), np.diff(self.row_ptr))
        self.csr_of_csc = np.argsort(self.col_idx, kind="stable").astype(np.int64)


class Operands:
    """X, G [neurons, batch] and, on samples, Y = W X, Wt G and (G Xt) at the stored entries, in f64."""

    def __init__(self, net, batch, seed=7):
        random = np.random.default_rng(seed + batch)
        self.x = random.standard_normal((net.n, batch)).astype(np.float32)
        self.g = random.standard_normal((net.n, batch)).astype(np.float32)
        self.sample = random.choice(net.n, min(SAMPLED_ROWS, net.n), replace=False)
        # The longest rows have the most rounding and the most special cases.
        self.sample[:LONGEST_ROWS] = np.argsort(np.diff(net.row_ptr))[-LONGEST_ROWS:]
        x, g = self.x.astype(np.float64), self.g.astype(np.float64)
        self.y = np.stack([_row(net.row_ptr, net.col_idx, net.values, r, x) for r in self.sample])
        self.ct = np.stack([_row(net.col_ptr, net.row_idx, net.values_csc, c, g) for c in self.sample])
        self.entries = random.choice(net.nnz, min(SAMPLED_ENTRIES, net.nnz), replace=False)
        self.grad = (g[net.rows[self.entries]] * x[net.col_idx[self.entries]]).sum(1)


def _row(ptr, idx, values, row, x):
    k = slice(ptr[row], ptr[row + 1])
    return (values[k, None].astype(np.float64) * x[idx[k]]).sum(0)


def relative_error(got, want):
    """Relative error of the norm; NaN if a number is not finite."""
    got = np.asarray(got, dtype=np.float64)
    value = np.linalg.norm(got - want) / max(np.linalg.norm(want), 1e-300)
    return float(value) if np.isfinite(got).all() else float("nan")


MOST_ERROR = 1e-5


def checked(got, want):
    """The relative error. @raises ValueError if the result is wrong: then nothing is timed."""
    error = relative_error(got, want)
    if not error < MOST_ERROR:
        raise ValueError(f"expected a relative error below {MOST_ERROR}, got {error}")
    return error


def rates(net, batch, ms, per_entry=2):
    return {"tflops": per_entry * net.nnz * batch / ms / 1e9, "gathered_gb_s": 4 * net.nnz * batch / ms / 1e6}
