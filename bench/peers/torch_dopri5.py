"""Dopri5 with a step size per sample, differentiable, in PyTorch: the tutorial's settings and axograd's controller."""

import torch

RTOL, ATOL, SAFETY, FACTOR_MIN, FACTOR_MAX, ORDER = 1e-3, 1e-6, 0.9, 0.2, 10.0, 5
# Stages; the last one is the solution. Source: Dormand & Prince 1980.
A = [
    [1 / 5],
    [3 / 40, 9 / 40],
    [44 / 45, -56 / 15, 32 / 9],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
    [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
]
B_LOW = [1951 / 21600, 0, 22642 / 50085, 451 / 720, -12231 / 42400, 649 / 6300, 1 / 60]
B_ERROR = [b - low for b, low in zip(A[-1] + [0], B_LOW)]


def _rms(v):
    return v.square().mean(0).sqrt()


def _weighted(weights, slopes):
    return sum(weight * slope for weight, slope in zip(weights, slopes) if weight != 0)


def initial_step(f, y, k1, span):
    """Source: Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, II.4."""
    scale = 1 / (ATOL + RTOL * y.abs())
    d0, d1 = _rms(y * scale), _rms(k1 * scale)
    small = (d0 < 1e-5) | (d1 < 1e-5)
    h = torch.where(small, torch.full_like(d0, 1e-6), 0.01 * d0 / torch.where(small, torch.ones_like(d1), d1))
    h = torch.minimum(h, span)
    d2 = _rms((f(y + h * k1) - k1) * scale) / h
    steepest = torch.maximum(d1, d2)
    flat = steepest <= 1e-15
    power = (0.01 / torch.where(flat, torch.ones_like(steepest), steepest)) ** (1 / ORDER)
    return torch.minimum(100 * h, torch.where(flat, torch.clamp(1e-3 * h, min=1e-6), power))


def attempt(f, y, k1, t, dt, running, end):
    """One step of every sample, taken or not."""
    slopes = [k1]
    y1 = y
    for weights in A:
        y1 = y + dt * _weighted(weights, slopes)
        slopes.append(f(y1))
    wrong = dt * _weighted(B_ERROR, slopes)
    ratio = _rms(wrong / (ATOL + RTOL * torch.maximum(y.abs(), y1.abs())))
    accepted = (ratio < 1) & running
    y, k1 = torch.where(accepted, y1, y), torch.where(accepted, slopes[-1], k1)
    t = torch.where(accepted, t + dt, t)
    running = t < end
    # At zero error the power has no finite slope: the limit applies, without a gradient.
    safe = torch.where(ratio > 0, ratio, torch.ones_like(ratio))
    factor = torch.clamp(SAFETY * safe ** (-1 / ORDER), FACTOR_MIN, FACTOR_MAX)
    factor = torch.where(ratio > 0, factor, torch.full_like(factor, FACTOR_MAX))
    return y, k1, t, torch.minimum(torch.where(running, dt * factor, dt), end - t), running


def solve(f, y):
    """y(1) from y(0), with a check after each attempt; each sample has its own time and step size."""
    samples = y.shape[1]
    t, end = y.new_zeros(samples), y.new_ones(samples)
    k1 = f(y)
    dt = torch.minimum(initial_step(f, y, k1, end), end - t)
    running = torch.ones(samples, dtype=torch.bool, device=y.device)
    while running.any():
        y, k1, t, dt, running = attempt(f, y, k1, t, dt, running, end)
    return y
