"""What is promoted: one strategy's exact code and parameters on its symbols, under one configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from qtm.backtest.overfitting.verdict import Subject
from qtm.execution.chain import canonical
from qtm.market.instruments import Market
from qtm.settings import Settings
from qtm.strategies.registry import Strategy


@dataclass(frozen=True, slots=True)
class Candidate:
    """Everything that must stay the same for a promotion to hold.

    `symbol` names every symbol of an account, joined by `+` in the order of its panel. `code` is the SHA-256
    of the strategy's sources, `config` that of the risk settings and the platform's version. A change of
    any makes another candidate, which starts at RESEARCH.
    """

    strategy: str
    code: str
    params: tuple[tuple[str, float], ...]
    market: str
    symbol: str
    interval: str
    config: str

    @property
    def digest(self) -> str:
        """SHA-256 over all of it, in hex."""
        return digest_of(asdict(self))

    def with_data(self, data_version: int | None) -> str:
        """SHA-256 over the candidate and the data version its evidence was made from, in hex."""
        return digest_of({**asdict(self), "data_version": data_version})


def candidate_of(
    strategy: Strategy, params: Any, *, market: str, symbol: str, interval: str, settings: Settings
) -> Candidate:
    """The candidate that `strategy` with `params` (a parameter tuple) is today."""
    return Candidate(
        strategy=strategy.name,
        code=strategy.digest,
        params=_sorted(params._asdict()),
        market=market,
        symbol=symbol,
        interval=interval,
        config=config_digest(settings),
    )


def place_of(named: Sequence[tuple[Market, str]]) -> tuple[str, str]:
    """Markets and symbols as a candidate names them: `spot`, `BTCUSDT`, or `spot+um`, `spot:A+um:A`."""
    markets = sorted({str(market) for market, _ in named})
    keys = sorted((f"{market}:{symbol}", symbol) for market, symbol in named)
    return "+".join(markets), "+".join(key if len(markets) > 1 else symbol for key, symbol in keys)


def config_digest(settings: Settings) -> str:
    """SHA-256 of the risk settings and the platform's version, in hex."""
    return digest_of(
        {"risk": settings.risk.model_dump(mode="json"), "platform": version("quantum-trading-matrix")}
    )


def describes(subject: Subject, candidate: Candidate) -> bool:
    """Whether a verdict was made on this candidate's code, parameters, market, symbols and interval."""
    return (
        subject.strategy == candidate.strategy
        and candidate.code.startswith(subject.strategy_version)
        and _sorted(subject.params) == candidate.params
        and (subject.market, "+".join(subject.symbols), subject.interval)
        == (candidate.market, candidate.symbol, candidate.interval)
    )


def digest_of(body: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of `body`, in hex."""
    return hashlib.sha256(canonical(body).encode()).hexdigest()


def _sorted(params: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    return tuple(sorted((name, float(value)) for name, value in params.items()))
