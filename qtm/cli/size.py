"""`qtm size`: how large a manual ticket may be, by the same rules the stream sizes with."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from qtm.cli.arguments import JsonOption, print_json
from qtm.errors import ConfigError, DataError
from qtm.settings import settings

if TYPE_CHECKING:
    from qtm.market.instruments import Instrument
    from qtm.market.lake import Lake
    from qtm.risk.sizing import SizingView


def register(app: typer.Typer) -> None:
    """Add `size` to the command line."""
    app.command("size")(size)


def size(
    symbol: Annotated[str, typer.Argument(help="Symbol, for example BTCUSDT.")],
    rule: Annotated[
        str, typer.Option("--sizing", help="Rule and settings: volatility:target=0.01, fixed:risk=0.01 ...")
    ] = "volatility:target=0.01",
    short: Annotated[bool, typer.Option("--short", help="Size a sale instead of a purchase.")] = False,
    price: Annotated[float | None, typer.Option(help="Entry price; else the last close.")] = None,
    stop: Annotated[float | None, typer.Option(help="Protective stop price, for fixed:.")] = None,
    equity: Annotated[float | None, typer.Option(help="Equity; else the firm's capital.")] = None,
    peak: Annotated[float | None, typer.Option(help="Highest equity so far, for grossman-zhou:.")] = None,
    strategy: Annotated[str, typer.Option(help="Strategy whose limits hold.")] = "manual",
    interval: Annotated[str, typer.Option("--interval", "-i", help="Bars the rule measures.")] = "1d",
    limits: Annotated[Path | None, typer.Option(help="Limit file (TOML or YAML).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Size a manual ticket: the rule's weight, cut to the limits in force, in whole lots.

    A size never raises a limit, and the gate judges the order all the same.

    Example: [bold]qtm size BTCUSDT --sizing fixed:risk=0.01 --price 60000 --stop 57000[/bold]
    """
    from qtm.market.lake import Lake
    from qtm.risk.limits import load_limits
    from qtm.risk.sizing import sized_value
    from qtm.risk.sizing_rules import sizer_of

    config = settings()
    sizer, lake = sizer_of(rule), Lake.from_settings(config)
    own = float(config.risk.capital) if equity is None else equity
    view = _measured(lake, symbol, interval, sizer.rule.window, equity=own, peak=peak, stop=stop)
    if price is not None:
        view = view._replace(price=price)
    bounds = load_limits(config.risk, path=limits or config.risk.limits_file).effective(strategy, symbol)
    largest = min(float(bounds.limits.max_order_value), float(bounds.limits.max_position_value))
    weight = sizer.weight(view)
    value = sized_value(sizer, view, -1.0 if short else 1.0, largest)
    if math.isnan(value):
        raise ConfigError(
            f"{rule!r} does not know enough to size {symbol}",
            where=symbol,
            remedy="give --stop for fixed:, --peak for grossman-zhou:, or ingest more bars",
        )
    one = _instrument(lake, symbol)
    lots = int(abs(value) / view.price / float(one.step_size) + 1e-9)
    qty = one.qty(lots)
    worth = qty * Decimal(repr(view.price))
    body: dict[str, Any] = {
        "symbol": symbol,
        "side": "SELL" if short else "BUY",
        "rule": rule,
        "weight": weight,
        "price": view.price,
        "quantity": f"{qty:f}",
        "value": float(worth),
        "share_of_equity": float(worth) / own,
        "cut_to_limit": weight * own > largest,
        "limit": largest,
        "limits_version": bounds.version,
        "tradable": qty >= one.min_qty and worth >= one.min_notional,
        "loss_at_stop": None if stop is None else float(qty) * abs(view.price - stop),
        "cvar_alone": float(worth) * view.unit_cvar,
        "volatility": view.volatility,
        "atr": view.atr,
    }
    if as_json:
        print_json(body)
        return
    _print(body)


def _measured(
    lake: Lake,
    symbol: str,
    interval: str,
    window: int,
    *,
    equity: float,
    peak: float | None,
    stop: float | None,
) -> SizingView:
    """The sizing view at the symbol's last close in the lake."""
    from qtm.market.instruments import Market
    from qtm.market.intervals import Interval
    from qtm.risk.sizing_view import view_of_bars

    step = Interval.parse(interval)
    bars = lake.scan_bars(Market.SPOT, step, symbols=[symbol])
    rows = bars.select("high", "low", "close").tail(window).collect()
    if rows.is_empty():
        raise DataError(
            f"the lake holds no {interval} bar of {symbol}",
            where=lake.uri,
            remedy=f"`qtm ingest bars -i {interval} -s {symbol}` first",
        )
    highs, lows, closes = (rows[name].to_numpy().astype(float) for name in ("high", "low", "close"))
    return view_of_bars(
        highs, lows, closes, equity=equity,
        peak_equity=math.nan if peak is None else peak, stop_price=math.nan if stop is None else stop,
    )  # fmt: skip


def _instrument(lake: Lake, symbol: str) -> Instrument:
    from qtm.market.instruments import Market

    found = [one for one in lake.instruments(Market.SPOT) if one.symbol == symbol]
    if not found:
        raise DataError(
            f"the lake does not know the venue's filters of {symbol}",
            where=lake.uri,
            remedy=f"`qtm ingest bars -s {symbol}` takes them along",
        )
    return found[0]


def _print(body: dict[str, Any]) -> None:
    console = Console()
    cut = f", cut to the limit of {body['limit']:,.0f}" if body["cut_to_limit"] else ""
    console.print(
        f"{body['side']} [bold]{body['quantity']} {body['symbol']}[/bold] at {body['price']:,}: "
        f"{body['value']:,.2f}, {body['share_of_equity']:.2%} of equity{cut}"
    )
    if not body["tradable"]:
        console.print("[yellow]below the venue's smallest order[/yellow]")
    if body["loss_at_stop"] is not None:
        console.print(f"loss at the stop: {body['loss_at_stop']:,.2f}")
    console.print(
        f"[dim]{body['rule']}, weight {body['weight']:.4f}; CVaR 97.5 % alone {body['cvar_alone']:,.2f} "
        f"a bar; limits {body['limits_version']}[/dim]"
    )
