"""Order strategies and accounts have tear sheets too, with the words that are theirs."""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.panel import Listed, Panel
from qtm.backtest.account.result import AccountResult
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions
from qtm.backtest.holdings import Holdings
from qtm.backtest.look_ahead import proof_market
from qtm.backtest.session import LossLimit
from qtm.backtest.tape.engine import run_orders_backtest
from qtm.backtest.tape.events import tape_of_bars
from qtm.backtest.tape.result import OrdersResult
from qtm.backtest.tape.rules import Latency
from qtm.market.instruments import Market
from qtm.reports.account_sheet import account_sheet_document
from qtm.reports.blocks import Columns, Figure, Table
from qtm.reports.comparison import comparison_document
from qtm.reports.formats import money, percent
from qtm.reports.orders_sections import fill_quality_table
from qtm.reports.page import render_page
from qtm.reports.pdf import write_pdf
from qtm.reports.run_folder import read_run, write_run
from qtm.reports.tear_sheet import tear_sheet_document, tear_sheet_page
from qtm.risk.rules import GateLimits
from qtm.strategies.registry import load_strategy
from qtm.trading.costs import UM_COSTS
from qtm.trading.desk import IOC, MARKET
from tests.backtest.scripted import instrument
from tests.backtest.tape.scripted import buy, cancelled, sell, tape_of
from tests.backtest.tape.scripted import run as run_script

TAKE = {"kind": MARKET, "time_in_force": IOC}
LIMITS = GateLimits(90_000.0, 2_000.0, 0.03, 0.25, 0.2, 60.0, 10_000.0, 5_000.0)


@pytest.fixture(scope="module")
def result() -> OrdersResult:
    listed = instrument(Market.UM)
    strategy = load_strategy("market-making")
    return run_orders_backtest(
        strategy,  # type: ignore[arg-type]
        {"half_spread": 20.0, "requote_ms": 3_600_000, "shortest": 5_000.0},
        tape_of_bars(proof_market(2_400, 2), listed),
        listed,
        cash=1e5,
        costs=UM_COSTS,
        latency=Latency.constant(feed_ms=2, order_ms=8),
        limits=LIMITS,
        data_version=0,
    )


def test_an_order_strategys_sheet_shows_makers_ends_and_latency(result: OrdersResult) -> None:
    page = tear_sheet_page(result)
    fees = float(result.fills.filter(result.fills["maker"])["fee"].sum())
    refused = int((result.orders["status"] == "REFUSED").sum())
    assert refused > 0 and len(result.fills) > 50
    for text in (
        percent(result.statistics.total_return, signed=True),
        money(-fees, 2),
        "Cancelled on request",
        f"{refused:,}",
        "PT-07 worst-case position",
        "market data 2 ms, orders 8 ms",
        "a price beyond the order",
    ):
        assert text in page, text
    assert result.lineage.limits is not None and type(result.lineage.limits["daily_loss"]) is float
    assert "not from the lake" not in page, "the first version of a table is 0"
    assert "Sizing" not in page and "LIMIT IOC" not in page, "these are a step strategy's words"


def test_round_trips_on_a_tape_are_stamped_to_the_millisecond_newest_first() -> None:
    rows = [(0.25 + at, "BS"[at % 2], 10_000, 500) for at in range(5)]
    script = [
        buy(0.25, 1, 5, **TAKE),
        sell(1.25, 2, 5, **TAKE),
        buy(2.25, 3, 5, **TAKE),
        sell(3.25, 4, 5, **TAKE),
    ]
    run = run_script(tape_of(rows), script)
    assert (run.trades["exit_ms"] - run.trades["entry_ms"]).tolist() == [1_000, 1_000]
    (section,) = (one for one in tear_sheet_document(run).sections if one.title == "Trades")
    (table,) = section.blocks
    assert isinstance(table, Table)
    shown = [[cell.text for cell in row[:2]] for row in table.rows]
    assert shown == [
        ["2024-01-01 00:00:02.250", "2024-01-01 00:00:03.250"],
        ["2024-01-01 00:00:00.250", "2024-01-01 00:00:01.250"],
    ]


def test_bars_name_a_round_trip_by_the_minute(result: OrdersResult) -> None:
    (table,) = next(one for one in tear_sheet_document(result).sections if one.title == "Trades").blocks
    assert isinstance(table, Table) and len(table.rows[0][0].text) == len("2024-01-01 00:00")


def test_exposure_between_fills_is_what_the_fills_left(result: OrdersResult) -> None:
    held = Holdings.of(result).qty
    last = result.fills["qty_after"].to_list()[-1]
    assert held[-1] == last
    after = np.zeros(len(result.bars))
    step_ns = result.tape.interval.ms * 1_000_000
    for ts_ns, qty in result.fills.select("ts_ns", "qty_after").iter_rows():
        after[(ts_ns - result.tape.start_ns) // step_ns :] = qty
    assert np.array_equal(held, after)


def test_an_order_strategys_run_prints_and_compares_even_if_it_never_lost(
    result: OrdersResult, tmp_path: Path
) -> None:
    printed = write_pdf(tmp_path / "run.pdf", tear_sheet_document(result), made_ms=1_700_000_000_000)
    assert printed.read_bytes().startswith(b"%PDF-")
    times = result.bars.open_time_ms + result.bars.interval.ms
    runs = [read_run(write_run(tmp_path / name, result, times)) for name in ("one", "two")]
    lucky = dataclasses.replace(runs[1], statistics={**runs[1].statistics, "profit_factor": float("nan")})
    assert "Profit factor" in render_page(comparison_document([runs[0], lucky]))


def test_a_run_that_passed_its_loss_limit_says_so_on_its_sheet_and_in_its_folder(
    result: OrdersResult, tmp_path: Path
) -> None:
    halted = dataclasses.replace(result, loss_limit=LossLimit(1_704_067_205_000, True))
    assert "Halted since 2024-01-01T00:00:05Z by PT-09 (loss limit)." in tear_sheet_page(halted)
    for run, notes in ((result, []), (halted, ["halted since 2024-01-01T00:00:05Z by PT-09 (loss limit)"])):
        folder = write_run(tmp_path / "run", run, run.bars.open_time_ms)
        assert json.loads((folder / "result.json").read_text())["limit_notes"] == notes


@pytest.fixture(scope="module")
def account() -> AccountResult:
    listed = [
        Listed(dataclasses.replace(instrument(Market.UM), symbol=f"COIN{number}"),
               dataclasses.replace(proof_market(900, number + 1), symbol=f"COIN{number}"))
        for number in range(2)
    ]  # fmt: skip
    seats = [
        Seat(load_strategy("trend"), {"fast": 5, "slow": 20}, share=0.5),
        Seat(load_strategy("cross-momentum"), {"lookback": 48}, share=0.5),
    ]
    return run_account(seats, Panel.of(listed), Conditions(1e5), data_version=0)


def test_an_accounts_sheet_shows_every_strategy_and_symbol(account: AccountResult) -> None:
    page = render_page(account_sheet_document(account))
    assert account.statistics.trades > 0
    for text in (
        "COIN0",
        "COIN1",
        "trend",
        "cross-momentum",
        money(account.statistics.fees),
        "Equal parts, held",
        "The run covers none of the events on record whole.",
        f"{account.statistics.trades:,} round trips.",
    ):
        assert text in page, text


def test_an_accounts_sheet_names_its_strategies_and_its_data_on_every_page(account: AccountResult) -> None:
    version = account.lineage.strategy_version
    assert account_sheet_document(account).lineage == f"trend+cross-momentum {version} · bars 0"
    tables = {"spot_bars_1h": 3, "um_bars_1h": 7}
    mixed = dataclasses.replace(account.lineage, data_version=None, data_versions=tables)
    document = account_sheet_document(dataclasses.replace(account, lineage=mixed))
    assert document.lineage == f"trend+cross-momentum {version} · bars spot_bars_1h 3, um_bars_1h 7"


def test_an_accounts_costs_lead_from_gross_to_net(account: AccountResult) -> None:
    opens = account.panel.open
    slippage = 0.0
    for row in account.order_rows[account.order_rows["filled_lots"] != 0.0]:
        n = int(account.legs["instrument"][row["leg"]])
        apart = abs(row["fill_price"] - opens[min(row["bar"] + 1, len(opens) - 1), n])
        slippage += apart * abs(row["filled_lots"]) * account.sizes[n] * (row["cause"] == 0)
    assert slippage > 0.0
    net = account.statistics.final_equity - account.cash
    shown = {row[0].text: row[1].text for row in _table(account, "Costs and orders", 0).rows}
    assert shown["Slippage"] == money(-slippage, 2)
    assert shown["Before costs"] == money(net + account.statistics.fees + slippage, 2, signed=True)
    assert shown["Net"] == money(net, 2, signed=True)


def test_every_symbol_of_an_account_has_its_fills_on_its_prices(account: AccountResult) -> None:
    section = next(
        one for one in account_sheet_document(account).sections if one.title == "Trades on the price"
    )
    (chart,) = section.blocks
    assert isinstance(chart, Figure)
    choices = chart.layout["updatemenus"][0]["buttons"]
    assert {one["label"].split()[0] for one in choices} == {"COIN0", "COIN1"}
    for choice in choices:
        seen = [trace for trace, is_seen in zip(chart.data, choice["args"][1], strict=True) if is_seen]
        marked = sum(_length(trace["x"]) for trace in seen if trace["name"] in ("Buy", "Sell"))
        assert f"({marked:,} fills)" in choice["label"]
    assert [trace["visible"] for trace in chart.data] == choices[0]["args"][1]


def _table(result: AccountResult, title: str, side: int) -> Table:
    section = next(one for one in account_sheet_document(result).sections if one.title == title)
    both = section.blocks[0]
    assert isinstance(both, Columns)
    found = both.blocks[side]
    assert isinstance(found, Table)
    return found


def _length(values: dict[str, str]) -> int:
    return len(base64.b64decode(values["bdata"])) // 8


def test_an_order_strategys_sheet_says_what_stood_ahead_of_its_orders() -> None:
    book = [(0, "bid", 9_990, 50), (0, "ask", 10_000, 50), (1, "B", 10_000, 5), (2, "B", 10_000, 1)]
    traded = run_script([*book, (3, "S", 9_990, 52), (4, "S", 9_990, 2)], [buy(1, 1, 3, 9_990)])

    def shown(result: OrdersResult) -> dict[str, str]:
        table = fill_quality_table(result)
        assert isinstance(table, Table)
        return {name.text: value.text for name, value in table.rows}

    ahead = f"{50 * float(traded.instrument.step_size):,.8g} {traded.instrument.base}"
    assert shown(traded)["Median queue joined by orders that traded"] == ahead
    withdrawn = shown(run_script([*book, (3, "B", 10_000, 1)], [buy(1, 1, 3, 9_990), cancelled(2, 1)]))
    assert withdrawn["Median queue joined by orders that did not"] == ahead
    assert "Median queue joined by orders that traded" not in withdrawn
