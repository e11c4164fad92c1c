"""The training steps with attempts made by torch.compile."""

import torch

from .step import Step, best_product, seed_product, time_step


def run(session):
    for name, make in (("gather, scatter_add, compiled", seed_product), ("CSR + sampled_addmm, compiled", best_product)):
        product = make(session)
        for batch in session.batches:
            torch._dynamo.reset()
            time_step(session, name, batch, lambda: Step(session, batch, product, compiled=True), seconds=90, most=5)
