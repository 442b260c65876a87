"""Incremental indicators: a numpy dtype that holds the memory, and a function that takes one more value.

The same function runs inside the compiled backtest loop, in a sweep and in the live stream, so the three
never differ. A strategy keeps the dtype as a field of its state and calls the function once per bar:

    average = sma(state.fast, bar.close_ticks, params.fast)

Every function returns NaN until it has seen enough values, unless its docstring says otherwise. Windows are
kept in rings of a fixed capacity (`CAPACITY` values unless the dtype was made with another); a longer window
raises IndexError when the first value arrives, and `step_strategy` bounds keep parameters below it.

Sums over whole ticks (`bar.close_ticks`) are exact: they are integers below 2**53 held in float64, so two
moving averages compare without rounding and ties are real ties.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.compiled import inlined

CAPACITY = 1024
"""Longest window of the ready-made dtypes, in bars."""


def rolling_window(capacity: int = CAPACITY) -> np.dtype[Any]:
    """Memory of a window of up to `capacity` values with their sum."""
    return np.dtype([("count", "i8"), ("at", "i8"), ("sum", "f8"), ("ring", "f8", (capacity,))], align=True)


def rolling_moments(capacity: int = CAPACITY) -> np.dtype[Any]:
    """Memory of a window of up to `capacity` values with their first two moments about `centre`."""
    return np.dtype(
        [
            ("count", "i8"),
            ("at", "i8"),
            ("centre", "f8"),
            ("sum", "f8"),
            ("squares", "f8"),
            ("ring", "f8", (capacity,)),
        ],
        align=True,
    )


def rolling_extreme(capacity: int = CAPACITY) -> np.dtype[Any]:
    """Memory of the candidates for the extreme of a window: a queue of (value, bar number)."""
    return np.dtype(
        [
            ("count", "i8"),
            ("head", "i8"),
            ("size", "i8"),
            ("value", "f8", (capacity,)),
            ("born", "i8", (capacity,)),
        ],
        align=True,
    )


WINDOW = rolling_window()
MOMENTS = rolling_moments()
EXTREME = rolling_extreme()
EMA = np.dtype([("count", "i8"), ("value", "f8")], align=True)
ATR = np.dtype([("count", "i8"), ("previous_close", "f8"), ("value", "f8")], align=True)
RSI = np.dtype([("count", "i8"), ("previous", "f8"), ("gain", "f8"), ("loss", "f8")], align=True)


@inlined
def rolling_sum(state: Any, value: float, length: int) -> float:
    """Sum of the last `length` values, or of as many as there are; exact for whole numbers."""
    at, leaving = np.uint64(state.at), 0.0  # an unsigned index needs no check for "from the end"
    if state.count < length:
        if length > state.ring.size:
            raise IndexError("window longer than the indicator's capacity")
        state.count += 1
    else:
        leaving = state.ring[at]
    state.ring[at] = value
    state.sum += value - leaving  # one addition to the sum: it is what every bar waits for
    state.at += 1
    if state.at == length:
        state.at = 0
    return float(state.sum)


@inlined
def sma(state: Any, value: float, length: int) -> float:
    """Simple moving average of `length` values (state `WINDOW`)."""
    total = rolling_sum(state, value, length)
    return float(total / length) if state.count == length else np.nan


@inlined
def ema(state: Any, value: float, length: int) -> float:
    """Exponential moving average with weight 2 / (length + 1), started at the first value (state `EMA`)."""
    if state.count == 0:
        state.value = value
    else:
        state.value += (value - state.value) * (2.0 / (length + 1.0))
    state.count += 1
    return float(state.value) if state.count >= length else np.nan


@inlined
def rolling_mean_std(state: Any, value: float, length: int) -> tuple[float, float]:
    """Mean and sample standard deviation of the last `length` values (state `MOMENTS`).

    Both moments are taken about a centre near the values and summed afresh each time the ring wraps, so
    rounding never accumulates over more than `length` bars.
    """
    if state.count == 0:
        if length > state.ring.size:
            raise IndexError("window longer than the indicator's capacity")
        state.centre = value
    if state.count < length:
        state.count += 1
    else:
        leaving = state.ring[state.at] - state.centre
        state.sum -= leaving
        state.squares -= leaving * leaving
    state.ring[state.at] = value
    arriving = value - state.centre
    state.sum += arriving
    state.squares += arriving * arriving
    state.at += 1
    if state.at == length:
        state.at = 0
        state.centre = value
        state.sum = 0.0
        state.squares = 0.0
        for i in range(length):
            distance = state.ring[i] - value
            state.sum += distance
            state.squares += distance * distance
    if state.count < length or length < 2:
        return np.nan, np.nan
    mean = state.sum / length
    variance = (state.squares - state.sum * mean) / (length - 1)
    return float(state.centre + mean), float(np.sqrt(max(variance, 0.0)))


@inlined
def zscore(state: Any, value: float, length: int) -> float:
    """Distance of `value` from its rolling mean in standard deviations (state `MOMENTS`); 0 when flat."""
    mean, std = rolling_mean_std(state, value, length)
    if np.isnan(mean):
        return np.nan
    return float((value - mean) / std) if std > 0.0 else 0.0


@inlined
def bollinger(state: Any, value: float, length: int, width: float) -> tuple[float, float, float]:
    """Lower band, mean and upper band, `width` standard deviations apart (state `MOMENTS`)."""
    mean, std = rolling_mean_std(state, value, length)
    return mean - width * std, mean, mean + width * std


@inlined
def atr(state: Any, high: float, low: float, close: float, length: int) -> float:
    """Wilder's average true range (state `ATR`): mean of the first `length` ranges, then smoothed."""
    true_range = high - low
    if state.count > 0:
        previous = state.previous_close
        true_range = max(true_range, abs(high - previous), abs(low - previous))
    state.previous_close = close
    if state.count < length:
        state.count += 1
        state.value += (true_range - state.value) / state.count
    else:
        state.value += (true_range - state.value) / length
    return float(state.value) if state.count == length else np.nan


@inlined
def rsi(state: Any, value: float, length: int) -> float:
    """Wilder's relative strength index, 0 to 100 (state `RSI`); 50 when nothing has moved."""
    change = value - state.previous if state.count > 0 else 0.0
    state.previous = value
    gain, loss = max(change, 0.0), max(-change, 0.0)
    if state.count <= length:
        state.count += 1
    moves = state.count - 1
    if moves == 0:
        return np.nan
    weight = 1.0 / moves
    state.gain += (gain - state.gain) * weight
    state.loss += (loss - state.loss) * weight
    if moves < length:
        return np.nan
    moved = state.gain + state.loss
    return float(100.0 * state.gain / moved) if moved > 0.0 else 50.0


@inlined
def _enter(state: Any, value: float, length: int, sign: float) -> float:
    capacity = state.value.size
    if length > capacity:
        raise IndexError("window longer than the indicator's capacity")
    if state.size > 0 and state.born[state.head] <= state.count - length:
        state.head = state.head + 1 if state.head + 1 < capacity else 0
        state.size -= 1
    while state.size > 0:
        last = state.head + state.size - 1
        last = last - capacity if last >= capacity else last
        if sign * state.value[last] > sign * value:
            break
        state.size -= 1
    free = state.head + state.size
    free = free - capacity if free >= capacity else free
    state.value[free] = value
    state.born[free] = state.count
    state.size += 1
    state.count += 1
    return float(state.value[state.head]) if state.count >= length else np.nan


@inlined
def rolling_max(state: Any, value: float, length: int) -> float:
    """Highest of the last `length` values (state `EXTREME`): the upper Donchian channel over highs."""
    return _enter(state, value, length, 1.0)


@inlined
def rolling_min(state: Any, value: float, length: int) -> float:
    """Lowest of the last `length` values (state `EXTREME`): the lower Donchian channel over lows."""
    return _enter(state, value, length, -1.0)
