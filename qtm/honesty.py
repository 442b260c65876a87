"""One import and one call from a strategy and a grid to what is left of it after luck is taken out:

    from qtm.honesty import examine, walk_forward

    found = examine("trend", "BTCUSDT", "1h", grid={"fast": [5, 10, 20], "slow": [50, 100, 200]})
    found.verdict.summary

    walked = walk_forward("trend", ["BTCUSDT", "ETHUSDT"], "1h", grid={"fast": [5, 10, 20]})
    walked.returns

    examine("pairs", "um:BTCUSDT,um:ETHUSDT", "1h", grid={"window": [120, 240, 480]})

Every kind of strategy can be examined, on one symbol or on many of one account. Data come from the lake of
the settings; every trial goes into the registry of its database. Trials run without the risk gate: it is the
signal that is judged.
"""  # noqa: D400

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack

from qtm.backtest.account.result import AccountResult
from qtm.backtest.conditions.contract import Result
from qtm.backtest.overfitting import assessment
from qtm.backtest.overfitting import walk_forward as forward
from qtm.backtest.registry import TrialRegistry
from qtm.backtest.search.space import Space
from qtm.control.candidate import Candidate, candidate_of
from qtm.errors import ConfigError, RiskError
from qtm.market.instruments import Market
from qtm.research import Options, gather
from qtm.research.examined import ladder
from qtm.risk.sized_targets import sizing_as_text, sizing_in_words
from qtm.settings import settings
from qtm.strategies.registry import Strategy
from qtm.trading.book import Sizing
from qtm.trading.costs import SPOT_COSTS, UM_COSTS


def examine(
    strategy: str | Strategy,
    symbols: str | Sequence[str],
    interval: str = "1h",
    *,
    grid: Mapping[str, Sequence[float]],
    params: Mapping[str, Any] | None = None,
    registry: TrialRegistry | None = None,
    on_progress: assessment.Progress | None = None,
    **options: Unpack[Options],
) -> assessment.Assessment:
    """Run every combination of `grid`, record the trials, and test the best (or `params`) for luck.

    Strategy, symbols and options are those of `qtm.research.backtest`, without a gate; see
    `qtm.backtest.overfitting.assessment.assess` for what is returned and raised.
    """
    options["gated"] = False
    inputs = gather(strategy, symbols, interval, **options)
    return assessment.assess(
        inputs.strategy,
        Space.of(inputs.strategy, grid).all(),
        inputs.conditions,
        registry or TrialRegistry.open(settings().database),
        chosen=None if params is None else inputs.strategy.params(params),
        max_drawdown=float(settings().risk.max_drawdown),
        on_progress=on_progress,
    )


def walk_forward(
    strategy: str | Strategy,
    choices: str | Sequence[str],
    interval: str = "1h",
    *,
    grid: Mapping[str, Sequence[float]],
    train_days: int = 365,
    test_days: int = 90,
    anchored: bool = False,
    registry: TrialRegistry | None = None,
    on_progress: Callable[[int], None] | None = None,
    **options: Unpack[Options],
) -> forward.WalkForward:
    """Choose among `choices` and parameters on the past, trade the next window, and choose again.

    A choice is what `qtm.research.backtest` calls symbols: one symbol, or several of one account with commas
    between them. The trials are recorded; see `qtm.backtest.overfitting.walk_forward.walk_forward`.
    """
    named = [choices] if isinstance(choices, str) else list(choices)
    options["gated"] = False
    universe = [gather(strategy, symbols, interval, **options) for symbols in named]
    if not universe:
        raise ConfigError("a walk-forward needs at least one symbol", remedy="name symbols to choose from")
    loaded = universe[0].strategy
    found = forward.walk_forward(
        loaded,
        Space.of(loaded, grid).all(),
        [inputs.conditions for inputs in universe],
        train_days=train_days,
        test_days=test_days,
        anchored=anchored,
        on_progress=on_progress,
    )
    (registry or TrialRegistry.open(settings().database)).record(
        record for trials in found.trials for record in trials.records
    )
    return found


def put_on_record(
    found: assessment.Assessment, examined_by: str, database_url: str | None = None
) -> Candidate:
    """Record the verdict for promotion (see `qtm.control.promotion`); returns the candidate it is about.

    Raises
    ------
    RiskError
        When it was made under easier terms than the candidate would trade under: cheaper costs, other
        capital than the firm's, or a sizing rule.
    """
    config = settings()
    subject = found.verdict.subject
    if others := other_terms(found.result, float(config.risk.capital)):
        raise RiskError(
            f"the examination is no evidence for promotion: {'; '.join(others)}",
            where=f"{subject.strategy} on {subject.symbol} {subject.interval}",
            remedy="examine it with the firm's capital, without a sizing rule, at the market's costs or more",
        )
    candidate = candidate_of(
        found.trials.strategy,
        found.trials.strategy.params(subject.params),
        market=subject.market,
        symbol="+".join(subject.symbols),
        interval=subject.interval,
        settings=config,
    )
    ladder(database_url).record_examination(candidate, found.verdict, examined_by)
    return candidate


def other_terms(result: Result, capital: float) -> list[str]:
    """How a run's terms were not those of a candidate; costs may be higher, never lower."""
    costs: dict[str, dict[str, float]]
    if isinstance(result, AccountResult):
        costs = result.lineage.costs
        sizings = [line.sizing for line in result.lineage.strategies]
    else:
        # An order strategy sizes its own orders and names no rule.
        costs, sizings = {result.lineage.market: result.lineage.costs}, [result.lineage.sizing]
    found = []
    if (cash := result.lineage.cash) != capital:
        found.append(f"it had {cash:,g}, the firm's capital is {capital:,g}")
    for market, charged in costs.items():
        usual = (SPOT_COSTS if Market(market) is Market.SPOT else UM_COSTS)._asdict()
        lower = [name for name in _DEARER if charged[name] < usual[name]]
        found += [f"{name} on {market} was {charged[name]:g}, usual is {usual[name]:g}" for name in lower]
    found += [f"it was sized {sizing_as_text(one)}" for one in sizings if one not in _USUAL_SIZES]
    return found


_DEARER = ("maker_rate", "taker_rate", "slippage_bps", "impact")
_USUAL_SIZES: tuple[dict[str, Any], ...] = ({}, sizing_in_words(Sizing()))
