"""axograd's sparse products in CUDA (products.cu): the card's speed without WebGPU."""

import math
import os

import numpy as np
import torch

from .network import Operands, checked, rates

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "products.cu")
THREADS = 256
#: Rows with more entries than these get 16 threads, or 4; the others get one.
LONG, MEDIUM = 256, 16
NO_ROW = 0xFFFFFFFF


def run(session):
    net = session.network
    if not session.on_gpu or net.n > 65536:
        session.rows.skip("hand-written CUDA", "needs a GPU and a network of at most 65,536 neurons")
        return
    import cupy

    with open(SOURCE, encoding="utf8") as file:
        source = file.read()
    with cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream):
        for batch in session.batches:
            operands = Operands(net, batch)
            vecs = 2 if batch <= 8 else 4
            panels = batch // (4 * vecs)
            if panels * 4 * vecs != batch:
                session.rows.skip("hand-written CUDA", f"needs whole panels of {4 * vecs} samples", batch)
                continue
            for at_once in sorted({1, min(panels, 4)} if panels % min(panels, 4) == 0 else {1}):
                for is_sorted in (False, True):
                    scheme = Scheme(cupy, source, net, operands, vecs, at_once, panels, is_sorted)
                    _forward(session, scheme, batch)
                    _backward(session, scheme, batch)


class Scheme:
    """One way to divide the work: panels per thread, and rows as stored or by length."""

    def __init__(self, cupy, source, net, operands, vecs, at_once, panels, is_sorted):
        self.cupy, self.net, self.operands, self.is_sorted = cupy, net, operands, is_sorted
        self.vecs, self.at_once, self.panels = vecs, at_once, panels
        options = ("-std=c++17", f"-DVECS={vecs}", f"-DPANELS={at_once}")
        self.kernel = lambda name: cupy.RawKernel(source, name, options=options)
        self.name = f"panel {4 * vecs}, {at_once} at once, rows {'sorted' if is_sorted else 'as stored'}"

    def table(self, ptr):
        entries, blocks, trips = row_blocks(ptr, self.is_sorted)
        groups = sum(blocks) // (THREADS // (16 * self.vecs))
        counts = [np.uint32(blocks[0]), np.uint32(blocks[1]), np.uint32(self.net.n)]
        return self.cupy.asarray(entries.reshape(-1)), self.cupy.asarray(trips), groups, counts

    def state(self, values):
        """[neurons, batch] in panels."""
        shape = self.net.n, self.panels, 4 * self.vecs
        return self.cupy.asarray(values.reshape(shape).transpose(1, 0, 2).copy())

    def empty_state(self):
        return self.cupy.full((self.panels, self.net.n, 4 * self.vecs), self.cupy.nan, self.cupy.float32)

    def sampled(self, state):
        sample = self.operands.sample
        return self.cupy.asnumpy(state.transpose(1, 0, 2)[self.cupy.asarray(sample)]).reshape(len(sample), -1)

    def indices(self, indices):
        """Two in a word."""
        padded = np.concatenate([indices.astype(np.uint16), np.zeros(len(indices) % 2, np.uint16)])
        return self.cupy.asarray(padded.view(np.uint32))


def _forward(session, scheme, batch):
    name = f"forward: {scheme.name}"
    with session.budget.piece(name, batch, seconds=20) as goes:
        if not goes:
            return
        net, cupy = scheme.net, scheme.cupy
        table, _, groups, counts = scheme.table(net.row_ptr)
        y = scheme.empty_state()
        arrays = (table, scheme.indices(net.col_idx), cupy.asarray(net.values), scheme.state(scheme.operands.x), y)
        kernel, grid = scheme.kernel("forward_product"), (groups, 1, scheme.panels // scheme.at_once)
        run = lambda: kernel(grid, (THREADS,), (*arrays, *counts))
        run()
        error = checked(scheme.sampled(y), scheme.operands.y)
        times = session.clock.time(run)
        facts = {"relativeError": error, "registers": kernel.num_regs}
        session.rows.add(name, batch, **facts, **times, **rates(net, batch, times["ms"]))


def _backward(session, scheme, batch):
    name = f"backward: {scheme.name}"
    with session.budget.piece(name, batch, seconds=20) as goes:
        if not goes:
            return
        net, cupy, operands = scheme.net, scheme.cupy, scheme.operands
        table, trips, groups, counts = scheme.table(net.col_ptr)
        ct, grad = scheme.empty_state(), cupy.zeros(net.nnz, cupy.float32)
        matrix = (table, trips, scheme.indices(net.row_idx), cupy.asarray(net.values_csc))
        arrays = (*matrix, scheme.state(operands.g), scheme.state(operands.x), ct, grad)
        kernel = scheme.kernel("fused_backward")

        def run():
            for first in range(0, scheme.panels, scheme.at_once):
                kernel((groups,), (THREADS,), (*arrays, *counts, np.uint32(first)))

        run()
        error = checked(scheme.sampled(ct), operands.ct)
        csc_of_csr = np.empty(net.nnz, np.int64)
        csc_of_csr[net.csr_of_csc] = np.arange(net.nnz)
        grad_error = checked(cupy.asnumpy(grad)[csc_of_csr[operands.entries]], operands.grad)
        times = session.clock.time(run)
        facts = {"relativeError": error, "gradientError": grad_error, "registers": kernel.num_regs}
        session.rows.add(name, batch, **facts, **times, **rates(net, batch, times["ms"], 4))


def row_blocks(ptr, is_sorted):
    """Like the table of src/backend/webgpu/rowBlocks.ts, without its rows of 64 threads: rows, blocks of each kind, trips of each block."""
    count = np.diff(ptr)
    kinds = (
        (np.flatnonzero(count > LONG), 16),
        (np.flatnonzero((count > MEDIUM) & (count <= LONG)), 4),
        (np.flatnonzero(count <= MEDIUM), 1),
    )
    entries, blocks, trips = [], [], []
    for rows, parts in kinds:
        if is_sorted:
            rows = rows[np.argsort(-count[rows], kind="stable")]
        per_block = 16 // parts
        # Whole workgroups, whatever the width of a panel.
        n = math.ceil(len(rows) / per_block / 16) * 16
        table = np.full((n * per_block, 3), [NO_ROW, 0, 0], dtype=np.uint32)
        table[: len(rows), 0], table[: len(rows), 1], table[: len(rows), 2] = rows, ptr[rows], ptr[rows + 1]
        length = (table[:, 2] - table[:, 1]).astype(np.int64)
        trips.append((-(-length // (4 * parts))).reshape(n, per_block).max(1) if n else np.zeros(0, np.int64))
        entries.append(table)
        blocks.append(n)
    return np.concatenate(entries), blocks, np.concatenate(trips).astype(np.uint32)
