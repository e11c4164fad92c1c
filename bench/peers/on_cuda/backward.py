"""Wt G and the gradient at the stored entries with PyTorch: together what axograd's fused reverse walk computes in one pass."""

import torch

from .network import Operands, checked, rates
from .torch_matrix import TorchMatrix, on_device


def run(session):
    net = session.network
    matrix = TorchMatrix(net, session.device)
    fixed = matrix.transposed(matrix.values)
    for batch in session.batches:
        operands = Operands(net, batch)
        x, g = on_device(session.device, operands.x), on_device(session.device, operands.g)
        at = lambda picked: torch.from_numpy(picked).to(x.device)
        # Name, work, result on the sample, what it must be, operations per entry.
        works = (
            ("torch CSC @ G", lambda: fixed @ g, lambda out: out[at(operands.sample)], operands.ct, 2),
            ("torch sampled_addmm", lambda: matrix.gradient(g, x), lambda out: out[at(operands.entries)], operands.grad, 2),
            ("torch CSC @ G + sampled_addmm", lambda: (fixed @ g, matrix.gradient(g, x)), None, None, 4),
        )
        for name, work, sampled, want, operations in works:
            with session.budget.piece(name, batch) as goes:
                if not goes:
                    continue
                facts = {} if want is None else {"relativeError": checked(sampled(work()).cpu().numpy(), want)}
                times = session.clock.time(work)
                session.rows.add(name, batch, **facts, **times, **rates(net, batch, times["ms"], operations))
