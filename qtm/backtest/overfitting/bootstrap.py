"""The stationary bootstrap of Politis and Romano (1994): resampling that keeps short-run dependence.

A resample of T rows is made of blocks with random starts and geometric lengths (mean b, wrapping around the
end). Rows of all trials are resampled together. The block length is chosen by Politis and White (2004) with
the correction of Patton, Politis and White (2009), as implemented in `arch`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from qtm.backtest.overfitting.observations import Floats
from qtm.compiled import compiled
from qtm.errors import RiskError

_LENGTH_COLUMNS: Final = 32
"""Columns looked at for the block length of a wide matrix, evenly spread."""


def block_length(returns: Floats) -> int:
    """Mean block length for the stationary bootstrap of returns of shape (T,) or (T, N), in rows.

    The median over columns that vary, rounded up, at least 1 and at most T // 4.
    """
    from arch.bootstrap import optimal_block_length  # slow to import, needed by few

    columns = returns.reshape(returns.shape[0], -1)
    varying = columns[:, columns.std(axis=0) > 0.0]
    if varying.shape[1] == 0:
        raise RiskError("returns that never vary have no block length", where=f"{returns.shape[0]} rows")
    step = -(-varying.shape[1] // _LENGTH_COLUMNS)
    lengths = optimal_block_length(varying[:, ::step])["stationary"].to_numpy()
    typical = float(np.median(np.nan_to_num(lengths, nan=1.0)))
    return int(np.clip(np.ceil(typical), 1, max(1, returns.shape[0] // 4)))


@compiled
def resampled_rows(rng: np.random.Generator, rows: int, length: float) -> npt.NDArray[np.int64]:
    """Row numbers of one resample, shape (rows,)."""
    picked = np.empty(rows, np.int64)
    row = 0
    for i in range(rows):
        row = int(rng.integers(0, rows)) if i == 0 or rng.random() * length < 1.0 else row + 1
        if row == rows:
            row = 0
        picked[i] = row
    return picked


@compiled
def resampled_sums(rng: np.random.Generator, prefix: Floats, length: float, resamples: int) -> Floats:
    """Column sums of many resamples, shape (resamples, N), without visiting their rows.

    `prefix` is the running sum with a leading row of zeros, shape (T + 1, N): a block costs two rows of it,
    so the work is resamples x T / length x N.
    """
    rows = prefix.shape[0] - 1
    trials = prefix.shape[1]
    sums = np.zeros((resamples, trials))
    for b in range(resamples):
        filled = 0
        while filled < rows:
            start = rng.integers(0, rows)
            size = rows - filled
            size = min(size, rng.geometric(1.0 / length)) if length > 1.0 else 1
            filled += size
            end = start + size
            if end <= rows:
                for k in range(trials):
                    sums[b, k] += prefix[end, k] - prefix[start, k]
            else:
                for k in range(trials):
                    sums[b, k] += prefix[rows, k] - prefix[start, k] + prefix[end - rows, k]
    return sums


def bootstrap_means(returns: Floats, *, length: float, resamples: int, seed: int) -> Floats:
    """Means of `resamples` stationary resamples of returns (T, N): shape (resamples, N)."""
    prefix = np.zeros((returns.shape[0] + 1, returns.shape[1]))
    np.cumsum(returns, axis=0, out=prefix[1:])
    means = resampled_sums(np.random.default_rng(seed), prefix, float(length), resamples)
    means /= returns.shape[0]
    return means


def long_run_variance(returns: Floats, length: float) -> Floats:
    """Variance of sqrt(T) x mean under the stationary bootstrap, shape (N,), in closed form.

    w^2 = c_0 + 2 sum_i k(i) c_i with k(i) = (1 - i/T)(1 - p)^i + (i/T)(1 - p)^(T - i), p = 1 / length
    (Politis and Romano 1994, lemma 1; Hansen 2005, eq. 12). Autocovariances c_i by fast Fourier transform.
    """
    rows = returns.shape[0]
    lags = np.arange(1, rows)
    keep = 1.0 - 1.0 / length
    kernel = (1.0 - lags / rows) * keep**lags + lags / rows * keep ** (rows - lags)
    size = 1 << (2 * rows - 1).bit_length()
    variance = np.empty(returns.shape[1])
    for k in range(returns.shape[1]):
        spectrum = np.fft.rfft(returns[:, k] - returns[:, k].mean(), size)
        covariance = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, size)[:rows] / rows
        variance[k] = covariance[0] + 2.0 * float(kernel @ covariance[1:])
    return variance
