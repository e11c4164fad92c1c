"""The training step as an expert in PyTorch would write it."""

from .step import Step, best_product, time_step


def run(session):
    product = best_product(session)
    for batch in session.batches:
        time_step(session, "CSR + sampled_addmm, eager", batch, lambda: Step(session, batch, product))
