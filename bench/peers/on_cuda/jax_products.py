"""Products in JAX. The matrix is an argument: as a constant, XLA would spend minutes on folding it."""

import os
import time

import numpy as np

from .network import Operands, checked, rates

ROUNDS, RUNS = 7, 5


def run(session):
    # PyTorch needs memory, too.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax
    import jax.numpy as jnp
    from jax.experimental import sparse

    if session.on_gpu and jax.default_backend() != "gpu":
        session.rows.skip("JAX", f"its backend is {jax.default_backend()}")
        return
    net = session.network
    rows, cols, row_ptr, values = map(jnp.asarray, (net.rows, net.col_idx, net.row_ptr, net.values))

    def segments(w, x, rows, cols):
        return jax.ops.segment_sum(w[:, None] * x[cols], rows, num_segments=net.n, indices_are_sorted=True)

    def bcsr(w, x, cols, row_ptr):
        return sparse.BCSR((w, cols, row_ptr), shape=(net.n, net.n)) @ x

    def reverse(w, x, rows, cols, g):
        return jax.grad(lambda w, x: (segments(w, x, rows, cols) * g).sum(), argnums=(0, 1))(w, x)

    for batch in session.batches:
        operands = Operands(net, batch)
        x, g = jnp.asarray(operands.x), jnp.asarray(operands.g)
        # Name, function, its arguments, operations per entry; the first two are forward products.
        for name, function, arguments, operations in (
            ("BCSR @ dense", bcsr, (values, x, cols, row_ptr), 2),
            ("gather, segment_sum", segments, (values, x, rows, cols), 2),
            ("forward and backward of gather, segment_sum", reverse, (values, x, rows, cols, g), 6),
        ):
            with session.budget.piece(name, batch, seconds=40) as goes:
                if not goes:
                    continue
                compiled = jax.jit(function)
                result = compiled(*arguments)
                facts = {}
                if function is not reverse:
                    facts["relativeError"] = checked(np.asarray(result)[operands.sample], operands.y)
                session.clock.wake(lambda: jax.block_until_ready(compiled(*arguments)))
                ms = _median_ms(lambda: jax.block_until_ready([compiled(*arguments) for _ in range(RUNS)]))
                session.rows.add(name, batch, **facts, ms=ms, **rates(net, batch, ms, operations))


def _median_ms(run):
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - begin) / RUNS)
    return sorted(times)[ROUNDS // 2]
