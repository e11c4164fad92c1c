"""PyTorch on the CPU, as well as a PyTorch user can do it: sparse CSR products with a hand-written backward, and the whole training
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

RTOL, ATOL, SAFETY, FACTOR_MIN, FACTOR_MAX, ORDER = 1e-3, 1e-6, 0.9, 0.2, 10.0, 5
LEARNING_RATE = 1e-12

# Before 2.0, sampled_addmm on the CPU made a dense matrix of neurons x neurons.
HAS_SAMPLED_ADDMM = int(torch.__version__.split(".")[0]) >= 2
# Entries gathered at a time where it is missing: enough to share among threads, few enough to stay in the cache.
CHUNK = 1 << 17

# Dopri5: stages, solution (which is the last stage's argument), difference of the embedded pair.
A = [
    [1 / 5],
    [3 / 40, 9 / 40],
    [44 / 45, -56 / 15, 32 / 9],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
    [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
]
B_LOW = [1951 / 21600, 0, 22642 / 50085, 451 / 720, -12231 / 42400, 649 / 6300, 1 / 60]
B_ERROR = [b - low for b, low in zip(A[-1] + [0], B_LOW)]


class Connectome:
    """W as two CSR matrices, itself and its transpose, with the permutation between their values."""

    def __init__(self, data):
        tensor = torch.from_numpy
        self.n = data.n
        # The beta state of sparse CSR is announced by a warning; stderr is for reasons to give up.
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


class Product(torch.autograd.Function):
    """W X; its reverse is Wt G and the gradient at the stored entries."""

    @staticmethod
    def forward(context, values, x, connectome):
        context.connectome = connectome
        context.save_for_backward(values, x)
        return connectome.matrix(values) @ x

    @staticmethod
    def backward(context, g):
        values, x = context.saved_tensors
        connectome = context.connectome
        g = g.contiguous()
        return connectome.gradient(g, x), connectome.transposed(values) @ g, None


def rms(v):
    """Per sample, over the neurons."""
    return v.square().mean(0).sqrt()


def initial_step(f, y, k1, span):
    """Source: Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, II.4."""
    scale = 1 / (ATOL + RTOL * y.abs())
    d0, d1 = rms(y * scale), rms(k1 * scale)
    small = (d0 < 1e-5) | (d1 < 1e-5)
    h = torch.where(small, torch.full_like(d0, 1e-6), 0.01 * d0 / torch.where(small, torch.ones_like(d1), d1))
    h = torch.minimum(h, span)
    d2 = rms((f(y + h * k1) - k1) * scale) / h
    steepest = torch.maximum(d1, d2)
    flat = steepest <= 1e-15
    power = (0.01 / torch.where(flat, torch.ones_like(steepest), steepest)) ** (1 / ORDER)
    return torch.minimum(100 * h, torch.where(flat, torch.clamp(1e-3 * h, min=1e-6), power))


def solve(f, y):
    """y(1) from y(0); each sample has its own time and step size."""
    samples = y.shape[1]
    t, end = torch.zeros(samples), torch.ones(samples)
    k1 = f(y)
    dt = torch.minimum(initial_step(f, y, k1, end), end - t)
    running = torch.ones(samples, dtype=torch.bool)
    while running.any():
        k = [k1]
        for weights in A:
            y1 = y + dt * sum(w * slope for w, slope in zip(weights, k) if w != 0)
            k.append(f(y1))
        error = dt * sum(w * slope for w, slope in zip(B_ERROR, k) if w != 0)
        ratio = rms(error / (ATOL + RTOL * torch.maximum(y.abs(), y1.abs())))
        accepted = (ratio < 1) & running
        y, k1, t = torch.where(accepted, y1, y), torch.where(accepted, k[-1], k1), torch.where(accepted, t + dt, t)
        running = t < end
        # A sample without error has no slope there; the limit applies, and nothing flows back.
        safe = torch.where(ratio > 0, ratio, torch.ones_like(ratio))
        factor = torch.clamp(SAFETY * safe ** (-1 / ORDER), FACTOR_MIN, FACTOR_MAX)
        factor = torch.where(ratio > 0, factor, torch.full_like(factor, FACTOR_MAX))
        dt = torch.minimum(torch.where(running, dt * factor, dt), end - t)
    return y


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
