"""The options that say what a strategy runs on, the same for every command that runs one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qtm.cli.arguments import (
    CashOption,
    FromOption,
    IntervalOption,
    LeverageOption,
    MarginModeOption,
    MarketOption,
    SizerOption,
    SymbolsOption,
    ToOption,
)

if TYPE_CHECKING:
    from qtm.research.request import Options

_ChoicesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--symbols",
        "--symbol",
        "-s",
        help="Give it several times to choose among; A,B is one account.",
    ),
]
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "market": (MarketOption, "spot"),
    "start": (FromOption, None),
    "end": (ToOption, None),
    "cash": (CashOption, None),
    "sizing": (SizerOption, None),
    "margin": (MarginModeOption, None),
    "leverage": (LeverageOption, None),
}
"""What every command takes and passes on by the name it has in `qtm.research.request.Options`."""


_LONGEST = 60
"""Characters of a file's name that symbols may take."""


@dataclass(frozen=True)
class Where:
    """The symbols, the interval, and the options of `qtm.research` that were given.

    `choices` are the symbols as given one by one, each of them maybe several with commas.
    """

    choices: tuple[str, ...]
    interval: str
    options: Options

    @property
    def symbols(self) -> str:
        """All of them, with commas between them."""
        return ",".join(self.choices)

    @property
    def file_name(self) -> str:
        """Symbols and interval as part of a file's name; a choice among symbols is no account of them all."""
        words = "-or-".join(self.choices).replace(":", "-").replace(",", "+")
        if len(words) > _LONGEST:
            words = f"{self.symbols.count(',') + 1}-symbols"
        return f"{words}-{self.interval}"


def runs_on(interval: str, *, choices: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of this module; it receives them as `where`.

    Parameters
    ----------
    interval
        The bar length if none is given.
    choices
        Whether `--symbols` may be given several times, to choose among.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True)
        shared = {
            "symbols": (_ChoicesOption, None) if choices else (SymbolsOption, "BTCUSDT"),
            "interval": (IntervalOption, interval),
            **_OPTIONS,
        }

        @functools.wraps(command)
        def run(**given: Any) -> None:
            symbols, chosen_interval = given.pop("symbols"), given.pop("interval")
            symbols = "BTCUSDT" if symbols is None else symbols
            options: Any = {name: given.pop(name) for name in _OPTIONS}
            named = (symbols,) if isinstance(symbols, str) else tuple(symbols)
            command(where=Where(named, chosen_interval, options), **given)

        in_its_place = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
            for name, (kind, default) in shared.items()
        ]
        parameters: list[inspect.Parameter] = []
        for name, one in own.parameters.items():
            parameters += in_its_place if name == "where" else [one.replace(kind=one.KEYWORD_ONLY)]
        run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate
