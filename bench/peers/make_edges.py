"""Writes a table of edges in the layout of MaleCNS v1.0: body_pre, body_post, weight (int64), descending by weight, in record batches of 65,536 rows,
each buffer an LZ4 frame. Numbers are drawn with a fixed seed: a tenth of the ends are neurons, the others any of the ids.

    make_edges.py FILE ROWS IDS NEURONS
"""

import sys

import numpy as np
import pyarrow as pa

BATCH = 65536
FIRST_ID = 10_000


def main():
    file, rows, ids, neurons = sys.argv[1], *map(int, sys.argv[2:5])
    random = np.random.default_rng(0)
    schema = pa.schema([(name, pa.int64()) for name in ("body_pre", "body_post", "weight")])
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.OSFile(file, "wb") as sink, pa.ipc.new_file(sink, schema, options=options) as writer:
        for start in range(0, rows, BATCH):
            count = min(BATCH, rows - start)
            ends = []
            for _ in range(2):
                is_neuron = random.random(count) < 0.1
                index = np.where(is_neuron, random.integers(0, neurons, count), random.integers(0, ids, count))
                # Ids are not consecutive.
                ends.append(FIRST_ID + index * 7)
            # Weights fall as a power of the rank, from 2,591 to 1.
            rank = (start + 1 + np.arange(count)) / rows
            weight = np.maximum(1, np.minimum(2591, rank**-0.8)).astype(np.int64)
            writer.write_batch(pa.record_batch([*ends, weight], schema=schema))


main()
