"""Shared by the Python peers: reading the network, and the line protocol (protocol.md)."""

import json
import os
import sys
import time

import numpy as np


class Data:
    """CSR and CSC of one matrix, and the operands [neurons, batch]."""

    def __init__(self, folder, batch):
        read = lambda name, dtype: np.fromfile(os.path.join(folder, name), dtype=dtype)
        with open(os.path.join(folder, "network.json"), encoding="utf8") as file:
            self.n = json.load(file)["neurons"]
        self.folder = folder
        self.batch = batch
        self.row_ptr = read("rowPtr.u32", np.int32)
        self.col_idx = read("colIdx.u32", np.int32)
        self.values = read("values.f32", np.float32)
        self.col_ptr = read("colPtr.u32", np.int32)
        self.row_idx = read("rowIdx.u32", np.int32)
        self.values_csc = read("valuesCsc.f32", np.float32)
        self.read = read

    def operand(self, name):
        """One of x, g as [neurons, batch]."""
        return self.read(f"{name}.f32", np.float32).reshape(self.n, self.batch)


class Operation:
    """`run()` returns the results by name; timing it repeatedly must do the same work each time."""

    def __init__(self, run):
        self.run = run

    def seconds_per_run(self, repeats):
        start = time.perf_counter()
        for _ in range(repeats):
            self.run()
        return (time.perf_counter() - start) / repeats

    def write(self, prefix):
        for name, values in self.run().items():
            np.ascontiguousarray(values, dtype=np.float32).tofile(f"{prefix}.{name}.f32")


def serve(name, threads, operations):
    """Answers requests until the input ends."""
    print(f"ready {name}|{','.join(operations)}|{threads}", flush=True)
    for line in sys.stdin:
        command, operation, argument = line.split()
        if command == "time":
            print(operations[operation].seconds_per_run(int(argument)), flush=True)
        else:
            operations[operation].write(argument)
            print("ok", flush=True)
