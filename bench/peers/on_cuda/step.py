"""One training step of the tutorial's classifier in PyTorch, with any sparse product."""

import math
import time

import numpy as np
import torch
from torch_dopri5 import attempt, initial_step
from torch_product import Product

from .torch_matrix import TorchMatrix, on_device

PIXELS, HIDDEN, CLASSES = 784, 256, 10
#: So small that weights, and with them the number of right-hand sides, do not change.
LEARNING_RATE = 1e-12


class Step:
    """h' = (relu(sigmoid(W h + U x + b)) - h)/tau, all neurons read out, 256 hidden units, cross-entropy, Adam.

    product: (w, h) -> W h. attempts: how many without a look at the device in between (late ones do nothing), or None: a look after each, as
    torchode does. compiled: whether torch.compile makes the attempt."""

    def __init__(self, session, batch, product, attempts=None, compiled=False, capturable=False):
        net = session.network
        random = np.random.default_rng(3)
        on = lambda array: on_device(session.device, array)
        parameter = lambda array: torch.nn.Parameter(on(np.asarray(array, dtype=np.float32)))
        self.n, self.batch, self.product, self.attempts = net.n, batch, product, attempts
        self.x = on(random.random((PIXELS, batch), dtype=np.float32))
        self.labels = on((np.arange(batch) % CLASSES).astype(np.int64))
        self.input_neurons = on(random.integers(0, net.n, PIXELS).astype(np.int64))
        self.w, self.u = parameter(net.values), parameter(np.ones(PIXELS))
        self.bias, self.tau = parameter(np.zeros((net.n, 1))), parameter(np.ones((net.n, 1)))
        bound = 1 / math.sqrt(net.n)
        self.fc1, self.b1 = parameter(random.uniform(-bound, bound, (HIDDEN, net.n))), parameter(np.zeros(HIDDEN))
        self.fc2, self.b2 = parameter(random.uniform(-0.06, 0.06, (CLASSES, HIDDEN))), parameter(np.zeros(CLASSES))
        trained = [self.w, self.u, self.bias, self.tau, self.fc1, self.b1, self.fc2, self.b2]
        kind = {"capturable": True} if capturable else {"fused": True} if session.on_gpu else {}
        self.optimizer = torch.optim.Adam(trained, lr=LEARNING_RATE, **kind)
        self.attempt = torch.compile(self._attempt, dynamic=False) if compiled else self._attempt

    def _slope(self, h, w, drive, tau):
        return (torch.relu(torch.sigmoid(drive + self.product(w, h))) - h) / tau

    def _attempt(self, y, k1, t, dt, running, end, w, drive, tau):
        return attempt(lambda h: self._slope(h, w, drive, tau), y, k1, t, dt, running, end)

    def forward(self):
        n, batch = self.n, self.batch
        new = {"device": self.x.device}
        drive = torch.zeros(n, batch, **new).index_add(0, self.input_neurons, self.u[:, None] * self.x) + self.bias
        y, t, end = torch.zeros(n, batch, **new), torch.zeros(batch, **new), torch.ones(batch, **new)
        slope = lambda h: self._slope(h, self.w, drive, self.tau)
        k1 = slope(y)
        dt = torch.minimum(initial_step(slope, y, k1, end), end - t)
        self.running = torch.ones(batch, dtype=torch.bool, **new)
        self.evaluations = 2
        done = 0
        while done < self.attempts if self.attempts is not None else bool(self.running.any()):
            y, k1, t, dt, self.running = self.attempt(y, k1, t, dt, self.running, end, self.w, drive, self.tau)
            self.evaluations += 6
            done += 1
        hidden = torch.relu(torch.nn.functional.linear(y.t(), self.fc1, self.b1))
        return torch.nn.functional.cross_entropy(torch.nn.functional.linear(hidden, self.fc2, self.b2), self.labels)

    def __call__(self):
        with torch.no_grad():
            self.w.clamp_(min=0)
            self.tau.clamp_(min=1)
        self.optimizer.zero_grad(set_to_none=True)
        self.loss = self.forward()
        self.loss.backward()
        self.optimizer.step()


def time_step(session, name, batch, make, seconds=40, most=20):
    """A row with the time of a step, its first one, its memory, and what shows that it computed the right thing."""
    with session.budget.piece(name, batch, seconds=seconds) as goes:
        if not goes:
            return
        if session.on_gpu:
            torch.cuda.reset_peak_memory_stats()
        begin = time.perf_counter()
        step = make()
        step()
        session.clock.synchronize()
        facts = {"first_s": time.perf_counter() - begin}
        times = session.clock.time(step, seconds=3, most=most, cold=False)
        facts.update(loss=float(step.loss.detach()), gradNorm=float(step.w.grad.norm()))
        facts.update(evaluations=step.evaluations, unfinished=int(step.running.sum()))
        if session.on_gpu:
            facts["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
        session.rows.add(name, batch, **times, **facts)


def best_product(session):
    """CSR product with a hand-written reverse."""
    matrix = TorchMatrix(session.network, session.device)
    return lambda w, h: Product.apply(w, h, matrix)


def seed_product(session):
    """The product as torch_sparse.spmm makes it: gather, multiply, scatter_add; its reverse by autograd."""
    net = session.network
    row, col = (on_device(session.device, array.astype(np.int64)) for array in (net.rows, net.col_idx))

    def product(w, h):
        terms = h.index_select(0, col) * w.unsqueeze(-1)
        target = torch.zeros(net.n, h.shape[1], dtype=h.dtype, device=h.device)
        return target.scatter_add_(0, row.unsqueeze(-1).expand_as(terms), terms)

    return product
