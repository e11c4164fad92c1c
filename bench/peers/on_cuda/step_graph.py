"""The best PyTorch step without reads from the device, and as one CUDA graph."""

import torch

from .step import Step, best_product, time_step

#: Attempts that the network needs; superfluous ones do nothing.
ATTEMPTS = 8
WARM_UP_STEPS = 3


def run(session):
    if not session.on_gpu:
        session.rows.skip("CUDA graph", "needs a GPU")
        return
    product = best_product(session)
    for batch in session.batches:
        make = lambda **options: Step(session, batch, product, attempts=ATTEMPTS, **options)
        time_step(session, f"CSR + sampled_addmm, {ATTEMPTS} attempts, no looks", batch, make)
        name = "the same as a CUDA graph"
        with session.budget.piece(name, batch, seconds=40) as goes:
            if not goes:
                continue
            step = make(capturable=True)
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UP_STEPS):
                    step()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step()
            times = session.clock.time(graph.replay, seconds=3, most=30, cold=False)
            session.rows.add(name, batch, **times, loss=float(step.loss.detach()), evaluations=step.evaluations)
