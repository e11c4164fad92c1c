"""The weights and their transpose as PyTorch's CSR."""

import numpy as np
import torch



def on_device(device, array):
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


class TorchMatrix:
    def __init__(self, net, device):
        on = lambda array: on_device(device, array)
        self.n, self.nnz = net.n, net.nnz
        self.row_ptr, self.col_idx = on(net.row_ptr), on(net.col_idx)
        self.col_ptr, self.row_idx = on(net.col_ptr), on(net.row_idx)
        self.values, self.csr_of_csc = on(net.values), on(net.csr_of_csc)
        self.pattern = self.matrix(torch.zeros_like(self.values))

    def matrix(self, values):
        return torch.sparse_csr_tensor(self.row_ptr, self.col_idx, values, (self.n, self.n))

    def transposed(self, values):
        return torch.sparse_csr_tensor(self.col_ptr, self.row_idx, values[self.csr_of_csc], (self.n, self.n))

    def gradient(self, g, x):
        """(G Xt) at the stored entries, in CSR order."""
        return torch.sparse.sampled_addmm(self.pattern, g, x.t(), beta=0.0).values()
