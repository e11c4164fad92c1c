"""torch-biopl's training step, rewritten because such machines lack torch-biopl. The sparse product is that of torch_sparse."""

from .step import Step, seed_product, time_step


def run(session):
    product = seed_product(session)
    for batch in session.batches:
        time_step(session, "torch-biopl's step, re-written: gather, scatter_add", batch, lambda: Step(session, batch, product), most=5)
