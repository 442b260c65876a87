"""What a run was made from: code, data, costs and terms, in words, enough to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtm.backtest.account.result import AccountLineage, AccountResult, StrategyLine
from qtm.backtest.engine import BacktestResult
from qtm.backtest.tape.result import OrdersResult, SymbolResult
from qtm.clock import iso_utc
from qtm.reports.blocks import Section, columns, definitions
from qtm.reports.formats import money, percent, ratio
from qtm.reports.orders_sections import market_in_words
from qtm.risk.sized_targets import sizing_as_text


def lineage_section(result: SymbolResult) -> Section:
    """Of a run on one symbol."""
    made_from = result.lineage
    limits, margin = made_from.limits, made_from.margin
    made = definitions(
        {
            "Strategy": f"{made_from.strategy}, source version {made_from.strategy_version}",
            "Parameters": _params(made_from.params),
            "Data": _data(result),
            "Period": _period(made_from),
            "Lake version": lake_version(made_from),
            **_funding(made_from),
            "Waivers": "; ".join(made_from.waivers) or "none",
        }
    )
    under = definitions(
        {
            **_costs(made_from.costs),
            **(market_in_words(result) if isinstance(result, OrdersResult) else _orders_in_words(result)),
            "Capital": f"{money(made_from.cash)} {result.instrument.quote}",
            "Account": "spot"
            if margin is None
            else f"margin, leverage up to {margin['leverage']:g}, "
            f"liquidated at {_maintenance(margin)} of notional",
            "Risk gate": "off" if limits is None else _limits_in_words(limits),
        }
    )
    return Section("Made from", [columns(made, under)])


def account_lineage_section(result: AccountResult) -> Section:
    """Of a run on an account."""
    made_from = result.lineage
    made = definitions(
        {
            **{f"Strategy {line.name}": _line(line) for line in made_from.strategies},
            "Data": f"{made_from.market} {made_from.interval}, {made_from.bars:,} bars",
            "Symbols": ", ".join(made_from.symbols),
            "Period": _period(made_from),
            "Lake version": lake_version(made_from),
            **_funding(made_from),
            "Waivers": "; ".join(made_from.waivers) or "none",
        }
    )
    return Section("Made from", [columns(made, definitions(_terms(made_from, result.quote)))])


def lake_version(made_from: Any) -> str:
    """The version of the lake's table (its first is 0), or of each table the bars came from."""
    tables: Mapping[str, int] = made_from.data_versions
    if len(tables) > 1 or made_from.data_version is None:
        return ", ".join(f"{name} {version}" for name, version in tables.items()) or "not from the lake"
    return str(made_from.data_version)


def _funding(made_from: Any) -> dict[str, str]:
    return {} if made_from.funding is None else {"Funding": f"content {made_from.funding}"}


def _period(made_from: Any) -> str:
    return f"{iso_utc(made_from.first_ms)} to {iso_utc(made_from.last_ms)} (open times)"


def _params(params: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in params.items())


def _data(result: SymbolResult) -> str:
    """What the market was known by; the trades of a tape are counted beside its depth."""
    made_from = result.lineage
    named = f"{made_from.market} {made_from.symbol} {made_from.interval}"
    if isinstance(result, OrdersResult) and not result.tape.of_bars:
        return f"{named}, equity sampled every {result.tape.interval}"
    return f"{named}, {made_from.bars:,} bars"


def _costs(costs: Mapping[str, float], on: str = "") -> dict[str, str]:
    return {
        f"Fees{on}": f"maker {percent(costs['maker_rate'], 3)}, taker {percent(costs['taker_rate'], 3)}",
        f"Slippage{on}": _slippage(costs),
    }


def _slippage(costs: Mapping[str, float]) -> str:
    words = f"{ratio(costs['slippage_bps'])} bp against the taker"
    if costs["impact"] > 0.0:
        words += f", impact {costs['impact']:g} × bar volatility × √(share of volume)"
    if costs["participation"] > 0.0:
        words += f", at most {percent(costs['participation'])} of a bar's volume"
    return words


def _maintenance(margin: Mapping[str, Any]) -> str:
    """The maintenance rate, or the range of the brackets'."""
    rates = [row[1] for row in margin["brackets"]] or [margin["maintenance_rate"]]
    return percent(rates[0]) if len(rates) == 1 else f"{percent(rates[0])} to {percent(rates[-1])}"


def _orders_in_words(result: BacktestResult) -> dict[str, str]:
    """What one order of a step strategy is, and how its size was found."""
    made_from = result.lineage
    return {
        "Order": f"LIMIT IOC, {percent(made_from.band or 0.0)} beyond the close, filled at the next open",
        "Sizing": sizing_as_text(made_from.sizing),
    }


def _limits_in_words(limits: Mapping[str, float]) -> str:
    stated = {name: float(value) for name, value in limits.items() if name != "rounding"}
    return ", ".join(f"{name.replace('_', ' ')} {value:,g}" for name, value in stated.items())


def _line(line: StrategyLine) -> str:
    sized = sizing_as_text(line.sizing)
    return (
        f"source version {line.version}, {percent(line.share, 0)} of the capital, sized {sized}; "
        f"{_params(line.params)}"
    )


def _margin_in_words(made_from: AccountLineage) -> str:
    if "um" not in made_from.market:
        return "none"
    own = {key: at for key, at in made_from.leverages.items() if at != made_from.leverage}
    named = "".join(f", {key} {leverage:g}" for key, leverage in own.items())
    return f"{made_from.margin_mode}, leverage up to {made_from.leverage:g}{named} within the brackets"


def _terms(made_from: AccountLineage, quote: str) -> dict[str, str]:
    several = len(made_from.costs) > 1
    charged = [_costs(costs, f" on {market}" if several else "") for market, costs in made_from.costs.items()]
    return {
        **{name: words for one in charged for name, words in one.items()},
        "Order": f"LIMIT IOC, {percent(made_from.band)} beyond the close, at the next open; sells first",
        "Capital": f"{money(made_from.cash)} {quote}",
        "Margin": _margin_in_words(made_from),
        "Delisting": f"after {made_from.write_off_days:g} days without a bar, at the last price less "
        f"{percent(made_from.haircut, 0)}",
        "Risk gate": "off" if made_from.limits is None else f"on, limits {made_from.limits}",
    }
