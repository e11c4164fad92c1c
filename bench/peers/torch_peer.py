"""PyTorch on the CPU, as an expert would write it: sparse CSR products with a hand-written backward, and the whole training
step of the classifier (Dopri5 with per-sample step sizes, autograd through the step-size control, cross-entropy, Adam).

Written from the equations: dh/dt = (relu(sigmoid(U x + W h + b)) - h)/tau, h(0) = 0, t from 0 to 1, rtol 1e-3, atol 1e-6; logits =
fc2(relu(fc1(h(1)))). Dropout is off and the learning rate is tiny, so that every run does the same work. Checked with PyTorch 2.13 and
1.13.
"""

import os
import sys
import warnings

import numpy as np
import torch

from peer import Data, Operation, serve
from torch_dopri5 import solve
from torch_product import Product

LEARNING_RATE = 1e-12

# Before 2.0, sampled_addmm on the CPU made a dense matrix of neurons x neurons.
HAS_SAMPLED_ADDMM = int(torch.__version__.split(".")[0]) >= 2
# Entries gathered at a time without it: enough for all threads, few enough for the cache.
CHUNK = 1 << 17


class Connectome:
    """W as two CSR matrices, itself and its transpose, with the permutation between their values."""

    def __init__(self, data):
        tensor = torch.from_numpy
        self.n = data.n
        # PyTorch warns that sparse CSR is beta; stderr is reserved for reasons to give up.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        self.row_ptr, self.col_idx = tensor(data.row_ptr), tensor(data.col_idx)
        self.col_ptr, self.row_idx = tensor(data.col_ptr), tensor(data.row_idx)
        rows = np.repeat(np.arange(data.n, dtype=np.int64), np.diff(data.row_ptr))
        self.rows = tensor(rows)
        self.pattern = self.matrix(torch.zeros(len(rows)))
        self.csr_of_csc = tensor(np.lexsort((rows, data.col_idx)))

    def matrix(self, values):
        return torch.sparse_csr_tensor(self.row_ptr, self.col_idx, values, (self.n, self.n))

    def transposed(self, values):
        return torch.sparse_csr_tensor(self.col_ptr, self.row_idx, values[self.csr_of_csc], (self.n, self.n))

    def gradient(self, g, x):
        """(G Xt) at the stored entries, in row-major order, never a dense matrix."""
        if HAS_SAMPLED_ADDMM:
            return torch.sparse.sampled_addmm(self.pattern, g, x.T, beta=0.0).values()
        result = torch.empty(len(self.rows))
        for begin in range(0, len(result), CHUNK):
            part = slice(begin, begin + CHUNK)
            torch.sum(g.index_select(0, self.rows[part]) * x.index_select(0, self.col_idx[part]), 1, out=result[part])
        return result


class TrainingStep:
    """One step on one batch; parameters and batch are the files that the benchmark wrote."""

    def __init__(self, data, connectome):
        read = lambda name: torch.from_numpy(data.read(f"{name}.f32", np.float32))
        parameter = lambda name, *shape: torch.nn.Parameter(read(name).reshape(shape))
        self.connectome = connectome
        self.x = read("input").reshape(data.batch, -1).T.contiguous()
        self.labels = read("labels").long()
        self.input_neurons = read("inputNeurons").long()
        self.w = torch.nn.Parameter(torch.from_numpy(data.values))
        self.u = torch.nn.Parameter(torch.ones(self.x.shape[0]))
        self.bias = torch.nn.Parameter(torch.zeros(data.n, 1))
        self.tau = torch.nn.Parameter(torch.ones(data.n, 1))
        hidden = len(read("fc1.bias"))
        self.layers = [
            (parameter("fc1.weight", hidden, data.n), parameter("fc1.bias", hidden)),
            (parameter("fc2.weight", -1, hidden), parameter("fc2.bias", -1)),
        ]
        trained = [self.w, self.u, self.bias, self.tau, *(p for layer in self.layers for p in layer)]
        self.optimizer = torch.optim.Adam(trained, lr=LEARNING_RATE, foreach=True)

    def __call__(self):
        with torch.no_grad():
            self.w.clamp_(min=0)
            self.tau.clamp_(min=1)
        self.optimizer.zero_grad()
        n, samples = self.connectome.n, len(self.labels)
        drive = torch.zeros(n, samples).index_add(0, self.input_neurons, self.u[:, None] * self.x) + self.bias
        slope = lambda h: (torch.sigmoid(drive + Product.apply(self.w, h, self.connectome)).relu() - h) / self.tau
        h = solve(slope, torch.zeros(n, samples)).T
        for i, (weight, bias) in enumerate(self.layers):
            h = torch.nn.functional.linear(h.relu() if i > 0 else h, weight, bias)
        loss = torch.nn.functional.cross_entropy(h, self.labels)
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach().reshape(1).numpy(), "grad": self.w.grad.numpy()}


def main():
    threads = int(sys.argv[3])
    torch.set_num_threads(threads)
    data = Data(sys.argv[1], int(sys.argv[2]))
    connectome = Connectome(data)
    operations = {}
    if os.path.exists(os.path.join(data.folder, "x.f32")):
        x, g = torch.from_numpy(data.operand("x")), torch.from_numpy(data.operand("g"))
        w = connectome.matrix(torch.from_numpy(data.values))
        transposed = connectome.transposed(torch.from_numpy(data.values))
        operations["spmm"] = Operation(lambda: {"y": (w @ x).numpy()})
        operations["spmmT+grad"] = Operation(
            lambda: {
                "ct": (transposed @ g).numpy(),
                "grad": connectome.gradient(g, x)[connectome.csr_of_csc].numpy(),
            }
        )
    if os.path.exists(os.path.join(data.folder, "input.f32")):
        operations["step"] = Operation(TrainingStep(data, connectome))
    serve(f"torch {torch.__version__}", threads, operations)


if __name__ == "__main__":
    main()
