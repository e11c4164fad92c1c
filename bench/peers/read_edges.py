"""Reads a table of edges as Python projects do, and prints what it found, how long it took and the peak resident set, as JSON.

    read_edges.py FILE read|filter NEURONS
"""

import json
import resource
import sys
import time

import numpy as np
import pyarrow
import pyarrow.feather


def main():
    file, operation, neurons = sys.argv[1], sys.argv[2], int(sys.argv[3])
    ids = 10_000 + 7 * np.arange(neurons)
    start = time.perf_counter()
    table = pyarrow.feather.read_table(file, memory_map=False)
    kept = None
    if operation == "filter":
        inside = np.isin(table["body_pre"].to_numpy(), ids)
        inside &= np.isin(table["body_post"].to_numpy(), ids)
        kept = int(inside.sum())
    synapses = int(table["weight"].to_numpy().sum())
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = {
        "reader": f"pyarrow {pyarrow.__version__}",
        "seconds": seconds,
        "maxRssBytes": peak if sys.platform == "darwin" else 1024 * peak,
        "found": {"rows": table.num_rows, "synapses": synapses, "kept": kept},
    }
    print(json.dumps(result))


main()
