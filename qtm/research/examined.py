"""The verdict on record of a strategy's examination for luck, for whoever shows a run of it."""

from __future__ import annotations

from qtm.backtest.account.result import AccountResult
from qtm.backtest.conditions.contract import Result
from qtm.backtest.overfitting.verdict import Verdict
from qtm.control.candidate import candidate_of
from qtm.control.promotion import Ladder
from qtm.settings import settings
from qtm.store.database import open_database
from qtm.strategies.registry import Strategy


def verdict_on_record(strategy: Strategy, result: Result, database_url: str | None = None) -> Verdict | None:
    """The newest verdict on exactly what a finished run was: code, parameters, symbols and interval."""
    made_from = result.lineage
    symbols = result.panel.names if isinstance(result, AccountResult) else (made_from.symbol,)
    candidate = candidate_of(
        strategy,
        strategy.params(made_from.params),
        market=made_from.market,
        symbol="+".join(symbols),
        interval=made_from.interval,
        settings=settings(),
    )
    return ladder(database_url).newest_verdict(candidate)


def others_examined(strategy: Strategy, database_url: str | None = None) -> list[Verdict]:
    """What else of a strategy was examined, the newest first: other parameters, symbols, bars, settings."""
    return ladder(database_url).verdicts_on(strategy.name)


def ladder(database_url: str | None) -> Ladder:
    """The ladder of promotions in a database, by default that of the settings."""
    config = settings()
    return Ladder(open_database(database_url or config.database), config.control, config.dossiers_dir)
