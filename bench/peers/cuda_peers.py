#!/usr/bin/env python3
"""Peers on the same card and network: PyTorch, cuSPARSE, JAX and hand-written CUDA.

    cuda_peers.py --network DIR --rows FILE [--batches 8,64,256] [--budget 240] [--parts step_seed,step_best] [--device cuda|cpu]

DIR: the raw arrays of bench/networks.ts, so that both sides have the same matrix. Rows are appended to FILE as JSON lines, as soon as they are
known. Every product is checked against f64 on sampled rows before it is timed. Times are medians between CUDA events: `ms` of consecutive
runs on the same operands (a matrix that fits the L2 stays there), `cold_ms` with the L2 overwritten before each run.

--device cpu tries the script without a GPU; its times say nothing.
"""

import argparse
import os
import sys
import warnings

# Otherwise fragmentation leaves no room for the gathers of a large batch.
os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
# PyTorch warns that its sparse matrices are beta.
warnings.filterwarnings("ignore", category=UserWarning)

import torch  # noqa: E402
from on_cuda.clock import Budget, Clock  # noqa: E402
from on_cuda.network import Network  # noqa: E402
from on_cuda.rows import Rows  # noqa: E402

# In order of value: whole steps, products, variants by hand or by a compiler.
PARTS = {
    "environment": ("on_cuda.environment", 20),
    "step_seed": ("on_cuda.step_seed", 60),
    "step_best": ("on_cuda.step_best", 60),
    "cusparse": ("on_cuda.cusparse", 30),
    "backward": ("on_cuda.backward", 30),
    "step_graph": ("on_cuda.step_graph", 60),
    "spmm": ("on_cuda.spmm", 20),
    "cuda": ("on_cuda.handwritten", 60),
    "jax": ("on_cuda.jax_products", 90),
    "step_compile": ("on_cuda.step_compile", 200),
}


class Session:
    """Input of each part: the network, the batches, the clock."""

    def __init__(self, options, rows, budget):
        self.device, self.batches = options.device, options.batches
        self.network = Network(options.network)
        self.rows, self.budget = rows, budget
        self.clock = Clock(options.device)

    @property
    def on_gpu(self):
        return self.device == "cuda"


def main():
    options = arguments()
    rows = Rows(options.rows)
    if options.device == "cuda" and not torch.cuda.is_available():
        rows.skip("PyTorch", "sees no GPU")
        return 0
    budget = Budget(options.budget, rows)
    session = Session(options, rows, budget)
    for name in options.parts:
        module, seconds = PARTS[name]
        rows.group = name
        with budget.piece(name, seconds=seconds) as goes:
            if goes:
                __import__(module, fromlist=["run"]).run(session)
    return 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--batches", default="8,64,256", type=lambda text: [int(batch) for batch in text.split(",")])
    parser.add_argument("--budget", type=float, default=240, help="seconds for everything")
    parser.add_argument("--parts", default=list(PARTS), type=parts)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    return parser.parse_args()


def parts(text):
    names = text.split(",")
    for name in names:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(PARTS)}, got {name}")
    return names


if __name__ == "__main__":
    sys.exit(main())
