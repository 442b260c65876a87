"""Every indicator against its textbook definition, and single calls against a compiled loop, bit for bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numba import njit

from qtm.features import indicators as ind

RNG = np.random.default_rng(3)
CLOSE = np.rint(30_000 + np.cumsum(RNG.normal(0, 25, 700)))
HIGH = CLOSE + np.rint(np.abs(RNG.normal(0, 12, CLOSE.size)))
LOW = CLOSE - np.rint(np.abs(RNG.normal(0, 12, CLOSE.size)))


def naive_sma(n: int) -> list[float]:
    return [math.nan if i + 1 < n else math.fsum(CLOSE[i + 1 - n : i + 1]) / n for i in range(CLOSE.size)]


def naive_ema(n: int) -> list[float]:
    value, out = CLOSE[0], []
    for i, x in enumerate(CLOSE):
        value = value if i == 0 else value + (x - value) * 2 / (n + 1)
        out.append(value if i + 1 >= n else math.nan)
    return out


def naive_zscore(n: int) -> list[float]:
    out = []
    for i in range(CLOSE.size):
        window = CLOSE[max(0, i + 1 - n) : i + 1]
        deviation = window.std(ddof=1) if window.size == n else math.nan
        out.append(0.0 if deviation == 0 else (CLOSE[i] - window.mean()) / deviation)
    return out


def naive_atr(n: int) -> list[float]:
    ranges = [HIGH[0] - LOW[0]]
    ranges += [
        max(HIGH[i] - LOW[i], abs(HIGH[i] - CLOSE[i - 1]), abs(LOW[i] - CLOSE[i - 1]))
        for i in range(1, CLOSE.size)
    ]
    out = [math.nan] * (n - 1) + [float(np.mean(ranges[:n]))]
    for r in ranges[n:]:
        out.append(out[-1] + (r - out[-1]) / n)
    return out


def naive_rsi(n: int) -> list[float]:
    moves = np.diff(CLOSE)
    gains, losses = np.maximum(moves, 0), np.maximum(-moves, 0)
    gain, loss = gains[:n].mean(), losses[:n].mean()
    out = [math.nan] * n + [100 * gain / (gain + loss)]
    for g, s in zip(gains[n:], losses[n:], strict=True):
        gain, loss = gain + (g - gain) / n, loss + (s - loss) / n
        out.append(100 * gain / (gain + loss))
    return out


def naive_extreme(values: np.ndarray, n: int, pick: object) -> list[float]:
    return [math.nan if i + 1 < n else float(pick(values[i + 1 - n : i + 1])) for i in range(values.size)]


# name, state dtype, textbook values, call on bar i
CASES = {
    "sma": (ind.WINDOW, lambda n: naive_sma(n), lambda s, i, n: ind.sma(s, CLOSE[i], n), 1e-15),
    "ema": (ind.EMA, lambda n: naive_ema(n), lambda s, i, n: ind.ema(s, CLOSE[i], n), 1e-15),
    "zscore": (ind.MOMENTS, lambda n: naive_zscore(n), lambda s, i, n: ind.zscore(s, CLOSE[i], n), 1e-9),
    "atr": (ind.ATR, lambda n: naive_atr(n), lambda s, i, n: ind.atr(s, HIGH[i], LOW[i], CLOSE[i], n), 1e-12),
    "rsi": (ind.RSI, lambda n: naive_rsi(n), lambda s, i, n: ind.rsi(s, CLOSE[i], n), 1e-11),
    "highest": (
        ind.EXTREME,
        lambda n: naive_extreme(HIGH, n, np.max),
        lambda s, i, n: ind.rolling_max(s, HIGH[i], n),
        0.0,
    ),
    "lowest": (
        ind.EXTREME,
        lambda n: naive_extreme(LOW, n, np.min),
        lambda s, i, n: ind.rolling_min(s, LOW[i], n),
        0.0,
    ),
}


@pytest.mark.parametrize("length", [2, 14, 50])
@pytest.mark.parametrize("name", CASES)
def test_matches_its_textbook_definition(name: str, length: int) -> None:
    dtype, textbook, call, tolerance = CASES[name]
    state = np.zeros(1, dtype)[0]
    values = [call(state, i, length) for i in range(CLOSE.size)]
    np.testing.assert_allclose(values, textbook(length), rtol=tolerance, atol=tolerance * 10)


@njit
def loop_over(state, highs, lows, closes, n, kind, out):  # type: ignore[no-untyped-def]
    for i in range(closes.size):
        if kind == 0:
            out[i] = ind.sma(state.window, closes[i], n)
        elif kind == 1:
            out[i] = ind.ema(state.ema, closes[i], n)
        elif kind == 2:
            out[i] = ind.zscore(state.moments, closes[i], n)
        elif kind == 3:
            out[i] = ind.atr(state.atr, highs[i], lows[i], closes[i], n)
        elif kind == 4:
            out[i] = ind.rsi(state.rsi, closes[i], n)
        elif kind == 5:
            out[i] = ind.rolling_max(state.extreme, highs[i], n)
        else:
            out[i] = ind.rolling_min(state.extreme, lows[i], n)


def test_a_compiled_loop_gives_the_bits_of_single_calls() -> None:
    together = np.dtype(
        [
            ("window", ind.WINDOW),
            ("ema", ind.EMA),
            ("moments", ind.MOMENTS),
            ("atr", ind.ATR),
            ("rsi", ind.RSI),
            ("extreme", ind.EXTREME),
        ],
        align=True,
    )
    for kind, name in enumerate(CASES):
        dtype, _, call, _ = CASES[name]
        batch = np.empty(CLOSE.size)
        loop_over(np.zeros(1, together)[0], HIGH, LOW, CLOSE, 20, kind, batch)
        state = np.zeros(1, dtype)[0]
        single = np.array([call(state, i, 20) for i in range(CLOSE.size)])
        assert batch.tobytes() == single.tobytes(), name


def test_a_sum_of_whole_ticks_is_exact_after_many_bars() -> None:
    state = np.zeros(1, ind.WINDOW)[0]
    prices = np.random.default_rng(5).integers(1, 10**10, 5_000).astype(float)
    for i, value in enumerate(prices):
        total = ind.rolling_sum(state, value, 77)
        if i >= 76:
            assert total == sum(int(p) for p in prices[i - 76 : i + 1])


def test_rolling_deviation_does_not_drift_far_from_where_it_started() -> None:
    """A price that walks from 1 to 1e9 keeps nine digits of its deviation."""
    state = np.zeros(1, ind.MOMENTS)[0]
    walk = np.exp(np.linspace(0, np.log(1e9), 4_000)) * (1 + 1e-4 * np.sin(np.arange(4_000)))
    for i, value in enumerate(walk):
        _, deviation = ind.rolling_mean_std(state, value, 60)
        if i >= 59:
            assert deviation == pytest.approx(walk[i - 59 : i + 1].std(ddof=1), rel=1e-9)


def test_flat_prices_have_no_zscore_and_a_neutral_rsi() -> None:
    moments, rsi = np.zeros(1, ind.MOMENTS)[0], np.zeros(1, ind.RSI)[0]
    for _ in range(40):
        score, strength = ind.zscore(moments, 100.0, 10), ind.rsi(rsi, 100.0, 10)
    assert (score, strength) == (0.0, 50.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ind.rolling_sum(np.zeros(1, ind.rolling_window(8))[0], 1.0, 9),
        lambda: ind.rolling_mean_std(np.zeros(1, ind.rolling_moments(8))[0], 1.0, 9),
        lambda: ind.rolling_max(np.zeros(1, ind.rolling_extreme(8))[0], 1.0, 9),
    ],
)
def test_a_window_beyond_the_capacity_is_refused(call: object) -> None:
    with pytest.raises(IndexError, match="capacity"):
        call()
