"""Versions, the card, and two basic costs: copies and launches."""

import contextlib
import importlib
import sys
import time

import torch


def run(session):
    facts = {"python": sys.version.split()[0], "torch": torch.__version__}
    for name in ("cupy", "jax", "triton"):
        with contextlib.suppress(Exception):
            facts[name] = importlib.import_module(name).__version__
    if session.on_gpu:
        card = torch.cuda.get_device_properties(0)
        facts.update(device=card.name, multiprocessors=card.multi_processor_count, cuda=torch.version.cuda)
    session.rows.add("versions", **facts)
    if not session.on_gpu:
        return
    for mib in (2048, 16):
        source = torch.randn(mib << 18, device="cuda")
        target = torch.empty_like(source)
        times = session.clock.time(lambda: target.copy_(source), cold=False)
        session.rows.add(f"copy of {mib} MiB", **times, gb_s=2 * (mib << 20) / times["ms"] / 1e6)
    one = torch.zeros(1, device="cuda")
    begin = time.perf_counter()
    for _ in range(2000):
        one.add_(1)
    torch.cuda.synchronize()
    session.rows.add("launch of a kernel from PyTorch", ms=1e3 * (time.perf_counter() - begin) / 2000)
