"""SciPy's sparse product: CSR times a block of vectors, one thread (SciPy has no more).

SciPy has no product restricted to a pattern, so the gradient is gathered in pieces with NumPy, as its users do.
"""

import sys

import numpy as np
import scipy
import scipy.sparse

from peer import Data, Operation, serve

PIECE = 1 << 20


def main():
    data = Data(sys.argv[1], int(sys.argv[2]))
    shape = (data.n, data.n)
    w = scipy.sparse.csr_array((data.values, data.col_idx, data.row_ptr), shape=shape)
    transposed = scipy.sparse.csr_array((data.values_csc, data.row_idx, data.col_ptr), shape=shape)
    x = data.operand("x")
    g = data.operand("g")
    col_of = np.repeat(np.arange(data.n, dtype=np.int32), np.diff(data.col_ptr))
    grad = np.empty_like(data.values)

    def backward():
        for k in range(0, len(grad), PIECE):
            piece = slice(k, k + PIECE)
            np.einsum("kb,kb->k", g[data.row_idx[piece]], x[col_of[piece]], out=grad[piece])
        return {"ct": transposed @ g, "grad": grad}

    serve(
        f"scipy {scipy.__version__}",
        1,
        {"spmm": Operation(lambda: {"y": w @ x}), "spmmT+grad": Operation(backward)},
    )


main()
