"""The tables of an account run: its orders, and what each leg earned, traded, paid and held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.backtest.account.memory import ACCOUNT_CAUSES, ACCOUNT_STATUS
from qtm.risk.rules import controls

if TYPE_CHECKING:
    from qtm.backtest.account.panel import Panel
    from qtm.backtest.account.result import AccountResult

Floats = npt.NDArray[np.float64]


def orders_of(result: AccountResult) -> pl.DataFrame:
    """Every finished order of every leg: decision, limit, outcome, fill, fee, and the book after it."""
    rows = result.order_rows
    instrument = result.legs["instrument"][rows["leg"]]
    step = result.sizes[instrument]
    tick = np.array([float(one.tick_size) for one in result.panel.instruments])[instrument]
    lots = rows["lots"]
    masks, which = np.unique(rows["breached"], return_inverse=True)
    refusals = np.array([",".join(controls(int(mask))) for mask in masks], dtype=object)
    names = np.array(result.panel.names, dtype=object)
    strategies = np.array([line.name for line in result.lineage.strategies], dtype=object)
    return pl.DataFrame(
        {
            "bar": rows["bar"],
            "decided_ms": rows["decided_ms"],
            "strategy": pl.Series(list(strategies[result.legs["strategy"][rows["leg"]]]), dtype=pl.String),
            "symbol": pl.Series(list(names[instrument]), dtype=pl.String),
            "sequence": rows["sequence"],
            "side": pl.Series(np.where(lots > 0, "BUY", "SELL").tolist(), dtype=pl.String),
            "lots": np.abs(lots),
            "qty": np.abs(lots) * step,
            "filled_lots": np.abs(rows["filled_lots"]),
            "filled_qty": np.abs(rows["filled_lots"]) * step,
            "crossed_lots": rows["crossed_lots"],
            "limit_price": rows["limit_ticks"] * tick,
            "status": _words(rows["status"], ACCOUNT_STATUS),
            "cause": _words(rows["cause"], ACCOUNT_CAUSES),
            "control": pl.Series(list(refusals[which]), dtype=pl.String),
            "fill_price": rows["fill_price"],
            "fee": rows["fee"],
            "qty_after": rows["qty_after"],
            "cash_after": rows["cash_after"],
        }
    )


def by_leg(result: AccountResult) -> pl.DataFrame:
    """A row per leg: what it earned, traded, paid and held.

    `profit` is in quote currency after all costs, `contribution` the same over the starting cash;
    `exposure` is its average absolute position over the account's equity, `turnover` its traded value a
    year over average equity.
    """
    years = len(result.panel) * result.panel.interval.ms / (365.0 * 86_400_000)
    closes = _last_closes(result.panel)
    rows = []
    for s, leg in enumerate(result.legs):
        n = int(leg["instrument"])
        profit = float(leg["flow"] - result.start_flow[s] + leg["qty"] * closes[n])
        rows.append(
            {
                "strategy": result.lineage.strategies[int(leg["strategy"])].name,
                "symbol": result.panel.names[n],
                "profit": profit,
                "contribution": profit / result.cash,
                "exposure": _exposure(result, s),
                "turnover": float(leg["traded_notional"]) / float(result.equity.mean()) / years,
                "traded": float(leg["traded_notional"]),
                "fees": float(leg["fees"]),
                "funding": float(leg["funding_paid"]),
                "delisting": float(leg["delisting_cost"]),
                "fills": int(leg["fills"]),
                "crossed_lots": float(leg["crossed"]),
                "round_trips": len(result.trades_by_leg[s]),
                "position": float(leg["qty"]),
            }
        )
    return pl.DataFrame(rows)


def summed(table: pl.DataFrame, by: str) -> pl.DataFrame:
    """The rows of `by_leg` summed over each symbol or strategy, most profitable first."""
    figures = [name for name in table.columns if name not in ("strategy", "symbol", "position")]
    return table.group_by(by, maintain_order=True).agg(pl.col(figures).sum()).sort("profit", descending=True)


def _exposure(result: AccountResult, s: int) -> float:
    """Average of |position| over the account's equity, at the closes of a leg's bars."""
    rows = result.order_rows[(result.order_rows["leg"] == s) & (result.order_rows["filled_lots"] != 0.0)]
    held = np.concatenate(([result.start_qty[s]], rows["qty_after"]))
    edges = np.concatenate(([0], np.clip(rows["bar"] + 1, 0, len(result.panel)), [len(result.panel)]))
    close = result.panel.close[:, result.legs["instrument"][s]]
    total = 0.0
    for qty, first, last in zip(held, edges[:-1], edges[1:], strict=True):
        if qty != 0.0 and last > first:
            total += abs(float(qty)) * float(np.nansum(close[first:last] / result.equity[first:last]))
    return total / len(result.panel)


def _words(codes: npt.NDArray[np.int64], names: tuple[str, ...]) -> pl.Series:
    return pl.Series(np.array(names, dtype=object)[codes].tolist(), dtype=pl.String)


def _last_closes(panel: Panel) -> Floats:
    """The last close of every instrument, zero for one that never traded; shape (N,)."""
    last = np.zeros(len(panel.instruments))
    for n in range(last.size):
        known = np.flatnonzero(np.isfinite(panel.close[:, n]))
        if known.size:
            last[n] = panel.close[known[-1], n]
    return last
