"""A sparse product in PyTorch whose reverse is written by hand."""

import torch


class Product(torch.autograd.Function):
    """W X; its reverse is Wt G and the gradient at the stored entries."""

    @staticmethod
    def forward(context, values, x, matrix):
        context.matrix = matrix
        context.save_for_backward(values, x)
        return matrix.matrix(values) @ x

    @staticmethod
    def backward(context, g):
        values, x = context.saved_tensors
        g = g.contiguous()
        return context.matrix.gradient(g, x), context.matrix.transposed(values) @ g, None
