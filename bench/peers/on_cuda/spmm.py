"""Forward product: PyTorch's CSR."""

import torch

from .network import Operands, checked, rates
from .torch_matrix import TorchMatrix, on_device


def run(session):
    net = session.network
    matrix = TorchMatrix(net, session.device)
    w = matrix.matrix(matrix.values)
    for batch in session.batches:
        operands = Operands(net, batch)
        for order in ("row-major", "column-major"):
            name = f"torch CSR @ dense ({order})"
            with session.budget.piece(name, batch) as goes:
                if not goes:
                    continue
                x = on_device(session.device, operands.x)
                if order == "column-major":
                    x = x.t().contiguous().t()
                error = checked((w @ x)[torch.from_numpy(operands.sample).to(x.device)].cpu().numpy(), operands.y)
                times = session.clock.time(lambda: w @ x)
                session.rows.add(name, batch, relativeError=error, **times, **rates(net, batch, times["ms"]))
