"""Writes arrowFixtures.ts: small Arrow files of all kinds, made by pyarrow 25, gzipped and in base64.

    python3 test/io/arrowFixtures.py > test/io/arrowFixtures.ts
"""

import base64
import decimal
import gzip
import io

import numpy as np
import pyarrow as pa


def types():
    """Six rows of every type; where a type has empty cells, row 2 is one."""
    i = [1, 2, None, 4, 5, 6]
    words = ["R1", "L1", None, "", "Mi1, a longer name", "R1"]
    return pa.table(
        {
            "list": pa.array([[1], [2, 3], None, [], [4], [5]], pa.list_(pa.int64())),
            "int8": pa.array([-128, 2, None, 4, 5, 127], pa.int8()),
            "int16": pa.array([-32768, 2, None, 4, 5, 32767], pa.int16()),
            "int32": pa.array([-(2**31), 2, None, 4, 5, 2**31 - 1], pa.int32()),
            "int64": pa.array([-(2**53), 2, None, 4, 5, 2**53], pa.int64()),
            "struct": pa.array([{"a": 1, "b": "x"}] * 6, pa.struct([("a", pa.int64()), ("b", pa.string())])),
            "uint8": pa.array([0, 2, None, 4, 5, 255], pa.uint8()),
            "uint16": pa.array([0, 2, None, 4, 5, 65535], pa.uint16()),
            "uint32": pa.array([0, 2, None, 4, 5, 2**32 - 1], pa.uint32()),
            "uint64": pa.array([0, 2, None, 4, 5, 2**53], pa.uint64()),
            "float16": pa.array(np.array([0.5, -2, 0, 1024, 2**-24, np.inf], np.float16), mask=np.arange(6) == 2),
            "float32": pa.array([0.5, -2, None, 2**24 - 1, 1e-3, 7], pa.float32()),
            "union": pa.UnionArray.from_sparse(
                pa.array([0, 1, 0, 1, 0, 1], pa.int8()), [pa.array(range(6)), pa.array(list("abcdef"))]
            ),
            "float64": pa.array([0.5, -2, None, 2**53 - 1, 1e-3, 7], pa.float64()),
            "bool": pa.array([True, False, None, True, True, False]),
            "text": pa.array(words, pa.string()),
            "large text": pa.array(words, pa.large_string()),
            "text view": pa.array(words, pa.string_view()),
            "dictionaries": pa.array([["a"], [], None, ["b"], [], ["a"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
            "binary view": pa.array([b"x" * 20, b"y", None, b"", b"", b""], pa.binary_view()),
            "coded": pa.DictionaryArray.from_arrays(
                pa.array([2, 0, None, 1, 0, 2], pa.int8()), ["low", "mid", "high"], ordered=True
            ),
            "coded wide": pa.DictionaryArray.from_arrays(
                pa.array([2, 0, None, 1, 0, 2], pa.uint64()), ["low", "mid", None]
            ),
            "coded ids": pa.DictionaryArray.from_arrays(
                pa.array([1, 0, None, 1, 0, 1], pa.int32()), pa.array([720575940629970487, 7], pa.int64())
            ),
            "decimal": pa.array([decimal.Decimal("1.5")] * 6, pa.decimal128(10, 2)),
            "timestamp": pa.array(i, pa.timestamp("us", "UTC")),
            "date": pa.array(i, pa.date32()),
            "time": pa.array(i, pa.time64("ns")),
            "nothing": pa.nulls(6),
            "binary": pa.array([b"a"] * 6),
            "fixed": pa.array([[1, 2]] * 6, pa.list_(pa.int32(), 2)),
            "map": pa.array([[("a", 1)]] * 6, pa.map_(pa.string(), pa.int64())),
            "ids": pa.array([0, 720575940629970487, None, 2**63 - 1, 5, 6], pa.int64()),
            "id texts": pa.array(["0", "720575940629970487", None, "x", "5", "6"], pa.string()),
            "whole": pa.array([0, 2.0, None, 2**53 - 1, 5, 6], pa.float64()),
        }
    )


def written(table, compression=None, stream=False, rows=4, deltas=False):
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression, emit_dictionary_deltas=deltas)
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with make(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue()


def batches(parts, compression=None, stream=True, deltas=False):
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression, emit_dictionary_deltas=deltas)
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with make(sink, parts[0].schema, options=options) as writer:
        for part in parts:
            writer.write_batch(part)
    return sink.getvalue()


def coded(values, indices):
    array = pa.DictionaryArray.from_arrays(pa.array(indices, pa.int8()), values)
    return pa.record_batch([array, pa.array(range(len(indices)), pa.int64())], names=["type", "id"])


def edges(n, seed=0):
    random = np.random.default_rng(seed)
    columns = {name: pa.array(random.integers(0, 400, n) * 7 + 10_000) for name in ("body_pre", "body_post")}
    return pa.table({**columns, "weight": pa.array(np.sort(random.integers(1, 40, n))[::-1])})


sliced = types().slice(1, 4).to_batches()[0]
some = pa.record_batch({"id": pa.array([1, 2, None]), "text": ["a", "b", None]})
FILES = {
    "stored": written(types()),
    "lz4": written(types(), "lz4"),
    "zstd": written(types(), "zstd"),
    "stream": written(types(), stream=True),
    "lz4Stream": written(types(), "lz4", stream=True),
    "sliced": batches([sliced], stream=False),
    # Batches without rows between others; long texts in several buffers of views.
    "someEmpty": batches([some.slice(0, 0), some, some.slice(1, 0), some.slice(1)], "lz4", stream=False),
    "noRows": written(types().slice(0, 0)),
    "noBatches": written(some.schema.empty_table().slice(0, 0), rows=1),
    "replaced": batches([coded(["a", "b"], [0, 1]), coded(["c", "d"], [1, 0])]),
    "grown": batches([coded(["a", "b"], [0, 1]), coded(["a", "b", "c"], [2, 0])], deltas=True),
    "grownFile": batches([coded(["a", "b"], [0, 1]), coded(["a", "b", "c"], [2, 0])], "lz4", stream=False, deltas=True),
    "edges": written(edges(3000), "lz4", rows=500),
    "edgesZstd": written(edges(3000), "zstd", rows=500),
}

print("// Made by arrowFixtures.py: Arrow files by pyarrow, gzipped and in base64.\n")
print("export const ARROW_FILES = {")
for name, content in FILES.items():
    packed = base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
    print(f'  {name}:\n    "{packed}",')
print("} as const;")
