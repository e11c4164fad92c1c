"""Forward product: the algorithms of cuSPARSE through its C interface, from PyTorch's folders."""

import contextlib
import ctypes as c
import glob
import os
import sys

import torch

from .network import Operands, checked, rates
from .torch_matrix import on_device

#: cusparseSpMMAlg_t
ALGORITHMS = {"default": 0, "csr1": 4, "csr2": 6, "csr3": 12}
#: cusparseOrder_t: row-major; column-major is slower throughout
ROW_MAJOR = 2
#: CUSPARSE_INDEX_32I, CUSPARSE_INDEX_BASE_ZERO, CUDA_R_32F
INDEX_32, BASE_ZERO, F32 = c.c_int(2), c.c_int(0), c.c_int(0)


def run(session):
    if not session.on_gpu:
        session.rows.skip("cuSPARSE", "needs a GPU")
        return
    lib, net = _library(), session.network
    handle, matrix = c.c_void_p(), c.c_void_p()
    _ok(lib.cusparseCreate(c.byref(handle)), "cusparseCreate")
    _ok(lib.cusparseSetStream(handle, c.c_void_p(torch.cuda.current_stream().cuda_stream)), "cusparseSetStream")
    arrays = [on_device("cuda", array) for array in (net.row_ptr, net.col_idx, net.values)]
    sizes = (c.c_int64(net.n), c.c_int64(net.n), c.c_int64(net.nnz))
    kinds = (INDEX_32, INDEX_32, BASE_ZERO, F32)
    _ok(lib.cusparseCreateCsr(c.byref(matrix), *sizes, *map(_pointer, arrays), *kinds), "cusparseCreateCsr")
    for batch in session.batches:
        operands = Operands(net, batch)
        x = on_device("cuda", operands.x)
        y = torch.full_like(x, float("nan"))
        dense = [_dense(lib, net.n, batch, array) for array in (x, y)]
        for name, algorithm in ALGORITHMS.items():
            label = f"cuSPARSE SpMM {name}"
            with session.budget.piece(label, batch, seconds=20) as goes:
                if not goes:
                    continue
                work = _product(lib, handle, matrix, dense, algorithm)
                work()
                error = checked(y[torch.from_numpy(operands.sample).cuda()].cpu().numpy(), operands.y)
                times = session.clock.time(work)
                session.rows.add(label, batch, relativeError=error, **times, **rates(net, batch, times["ms"]))


def _product(lib, handle, matrix, dense, algorithm):
    alpha, beta, size = c.c_float(1), c.c_float(0), c.c_size_t()
    operation = c.c_int(0)
    common = (handle, operation, operation, c.byref(alpha), matrix, dense[0], c.byref(beta), dense[1], F32, c.c_int(algorithm))
    _ok(lib.cusparseSpMM_bufferSize(*common, c.byref(size)), "cusparseSpMM_bufferSize")
    workspace = torch.empty(max(1, size.value), dtype=torch.uint8, device="cuda")
    if hasattr(lib, "cusparseSpMM_preprocess"):
        _ok(lib.cusparseSpMM_preprocess(*common, _pointer(workspace)), "cusparseSpMM_preprocess")
    return lambda: _ok(lib.cusparseSpMM(*common, _pointer(workspace)), "cusparseSpMM")


def _dense(lib, rows, cols, array):
    descriptor = c.c_void_p()
    sizes = (c.c_int64(rows), c.c_int64(cols), c.c_int64(cols))
    status = lib.cusparseCreateDnMat(c.byref(descriptor), *sizes, _pointer(array), F32, c.c_int(ROW_MAJOR))
    _ok(status, "cusparseCreateDnMat")
    return descriptor


def _pointer(tensor):
    return c.c_void_p(tensor.data_ptr())


def _ok(status, what):
    if status != 0:
        raise RuntimeError(f"{what}: expected status 0, got {status}")


def _library():
    for name in ("libcusparse.so.12", "libcusparse.so"):
        with contextlib.suppress(OSError):
            return c.CDLL(name)
    found = [file for folder in sys.path for file in glob.glob(os.path.join(folder, "nvidia/**/libcusparse.so.*"), recursive=True)]
    if not found:
        raise RuntimeError("expected libcusparse.so in the loader's list or beside PyTorch, got none")
    return c.CDLL(found[0])
