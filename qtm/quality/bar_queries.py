"""The SQL of the bar checks: one profile row per symbol, and the stretches of time at fault.

All of it reads the relation `steps` (see `qtm.quality.profile`): the bars of the window (`inside`) and, per
symbol, the nearest bar on either side of it, so that a hole across the window's edge is seen; each beside the
bar before it (`before_ms`, `before_close`, `step_ms`, `log_return`, `stale`). The names in braces are numbers
put in by `qtm.quality.profile`.
"""

from __future__ import annotations

SIGMAS = """
CREATE TEMP TABLE sigmas AS
SELECT symbol, greatest(1.4826 * median(abs(log_return)) FILTER (log_return <> 0), 0.0001) AS sigma
FROM steps WHERE isfinite(log_return) GROUP BY symbol
"""
"""Robust standard deviation of one-bar log returns, without the bars that did not move."""

STALE_RUNS = """
CREATE TEMP TABLE stale_runs AS
SELECT symbol, count(*) AS bars, min(before_ms) AS from_ms, max(open_time_ms) + {step} AS to_ms
FROM (
    SELECT *, open_time_ms - {step} * row_number() OVER (PARTITION BY symbol ORDER BY open_time_ms) AS run
    FROM steps WHERE stale AND inside
) GROUP BY symbol, run
"""

BAD_ROWS = {
    "incomplete": (
        "open IS NULL OR high IS NULL OR low IS NULL OR close IS NULL OR volume IS NULL "
        "OR NOT isfinite(open) OR NOT isfinite(high) OR NOT isfinite(low) OR NOT isfinite(close) "
        "OR NOT isfinite(volume) OR quote_volume IS NULL OR NOT isfinite(quote_volume)"
    ),
    "non_positive": "open <= 0 OR high <= 0 OR low <= 0 OR close <= 0",
    "bad_ohlc": "high < greatest(open, close, low) OR low > least(open, close, high)",
    "duplicates": "step_ms = 0",
    "off_grid": "open_time_ms % {step} <> 0",
    "negative_volume": "volume < 0 OR quote_volume < 0",
    "untraded": "volume = 0",
    "odd_quote_volume": (
        "volume > 0 AND quote_volume NOT BETWEEN low * volume * 0.999999 - 1e-6 "
        "AND high * volume * 1.000001 + 1e-6"
    ),
    "odd_taker": "taker_base > volume * 1.000000001 OR taker_base < 0",
    "jump": "abs(log_return) > {jump} * sigma",
    "scale": (
        "step_ms <= {pause} AND before_close > 0 AND close > 0 AND "
        "greatest(close / before_close, before_close / close) > {scale}"
    ),
}
"""Checks that look at a row and the one before it: the condition under which the row is at fault."""

BAD_STEPS = {
    "gap": "step_ms > {step}",
    "long_gap": "step_ms - {step} > {pause}",
    "reuse": "step_ms > {pause} AND greatest(open / before_close, before_close / open) > {reuse}",
}
"""Checks that look at the stretch between two bars: the condition under which the stretch is at fault."""

PROFILE = """
SELECT symbol,
    count(*) FILTER (inside) AS rows,
    min(open_time_ms) FILTER (inside) AS first_ms,
    max(open_time_ms) FILTER (inside) AS last_ms,
    {counts},
    coalesce(greatest(max(step_ms) - {step}, 0), 0) AS longest_gap_ms,
    coalesce(sum(greatest(step_ms // {step} - 1, 0)) FILTER (step_ms > {step}), 0) AS missing,
    coalesce(max(greatest(open / before_close, before_close / open))
        FILTER (step_ms > {pause} AND before_close > 0 AND open > 0), 1) AS reuse_ratio,
    coalesce(max(greatest(close / before_close, before_close / close))
        FILTER (step_ms <= {pause} AND before_close > 0 AND close > 0), 1) AS largest_ratio,
    (count(*) FILTER (inside AND volume = 0)) / greatest(count(*) FILTER (inside), 1) AS untraded_share,
    greatest((min(open_time_ms) FILTER (inside) - {start}) // {step}, 0)
        + greatest(({end} - max(open_time_ms) FILTER (inside)) // {step} - 1, 0) AS uncovered,
    any_value(sigma) AS sigma,
    coalesce(any_value(longest_stale), 0) AS longest_stale
FROM steps
LEFT JOIN (SELECT symbol, max(bars) AS longest_stale FROM stale_runs GROUP BY symbol) USING (symbol)
LEFT JOIN sigmas USING (symbol)
GROUP BY symbol
"""

COUNTED = {
    "incomplete": "incomplete",
    "non_positive": "non_positive",
    "bad_ohlc": "bad_ohlc",
    "duplicates": "duplicates",
    "off_grid": "off_grid",
    "negative_volume": "negative_volume",
    "odd_quote_volume": "odd_quote_volume",
    "odd_taker": "odd_taker",
    "jumps": "jump",
}
"""Profile columns that count the rows of a condition."""

SPANS = """
SELECT symbol, min(from_ms) AS from_ms, max(to_ms) AS to_ms, count(*) AS rows
FROM (
    SELECT *, sum(CASE WHEN from_ms <= reached THEN 0 ELSE 1 END)
        OVER (PARTITION BY symbol ORDER BY from_ms, to_ms) AS island
    FROM (
        SELECT *, max(to_ms) OVER (
            PARTITION BY symbol ORDER BY from_ms, to_ms ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS reached
        FROM ({faults})
    )
)
GROUP BY symbol, island ORDER BY symbol, from_ms
"""
"""Joins the stretches of `{faults}` (symbol, from_ms, to_ms) that touch."""

ROW_FAULTS = (
    "SELECT symbol, open_time_ms AS from_ms, open_time_ms + {step} AS to_ms "
    "FROM steps LEFT JOIN sigmas USING (symbol) WHERE inside AND ({condition})"
)
STEP_FAULTS = (
    "SELECT symbol, greatest(before_ms + {step}, {start}) AS from_ms, least(open_time_ms, {end}) AS to_ms "
    "FROM steps WHERE {condition}"
)
STALE_FAULTS = "SELECT symbol, from_ms, to_ms FROM stale_runs WHERE bars > {stale}"
UNCOVERED_FAULTS = (
    "SELECT symbol, {start} AS from_ms, first_ms AS to_ms FROM edges WHERE first_ms - {start} >= {step} "
    "UNION ALL SELECT symbol, last_ms + {step}, {end} FROM edges WHERE {end} - last_ms > {step}"
)
EDGES = """
CREATE TEMP TABLE edges AS
SELECT symbol, min(open_time_ms) AS first_ms, max(open_time_ms) AS last_ms
FROM steps WHERE inside GROUP BY symbol
"""
