"""One process's share of a run: connect, settle what was left open, reconcile, arm, and sum up at the end."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtm.clock import SystemClock, iso_utc
from qtm.control.candidate import candidate_of
from qtm.control.limited_live import limited_live, promoted_run
from qtm.control.promotion import Ladder, Standing
from qtm.control.requirements import Rung
from qtm.errors import VenueError
from qtm.execution.door import Door
from qtm.execution.journal import Journal
from qtm.execution.model_watch import ModelWatch
from qtm.execution.outbox import Sender
from qtm.execution.reconcile import reconcile
from qtm.execution.trading_plan import TradingPlan
from qtm.execution.venue import BinanceSpot
from qtm.market.instruments import Instrument, Market
from qtm.market.lake import Lake
from qtm.risk.gate import PAPER, STATE_NAMES, Gate
from qtm.risk.limits import capped, load_limits
from qtm.risk.sizing_rules import sizer_of
from qtm.settings import Settings
from qtm.store.database import open_database
from qtm.strategies.registry import load_step_strategy
from qtm.trading.book import LargestOrder
from qtm.trading.orders import client_order_id
from streaming.config import StreamConfig
from streaming.market_clock import MarketClock
from streaming.process_lock import hold_alone
from streaming.run import Run
from streaming.run_row import RunRow

if TYPE_CHECKING:
    from streaming.feed import Feed

log = logging.getLogger(__name__)


class Session:
    """Everything the dataflow's stages share; one thread, one asyncio loop.

    Raises
    ------
    QtmError
        When the strategy, limits, venue, account or store are not fit to trade with; nothing was sent.
    """

    def __init__(self, config: StreamConfig, have: Settings) -> None:
        self.config = config
        self.settings = have
        self.clock = SystemClock()
        self.time = MarketClock(config, self.clock)
        self.counts: Counter[str] = Counter()
        self.latencies_ns: list[int] = []
        self._feed: Feed | None = None
        self._stop_asked = False
        self.strategy = load_step_strategy(config.strategy)
        self.params = self.strategy.params(config.params)
        self.warmup_bars = self.strategy.warmup(self.params) if config.warmup is None else config.warmup
        config.run_dir.parent.mkdir(parents=True, exist_ok=True)
        self._lock = hold_alone(config.run_dir.with_suffix(".lock"))
        self.loop = asyncio.new_event_loop()
        self.journal = Journal(
            open_database(config.database_url), config.account, self.clock, config.state_dir
        )
        self.venue = BinanceSpot(
            config.rest_url,
            config.api_key,
            config.api_secret,
            timeout_s=config.timeout_s,
            recv_window_ms=config.recv_window_ms,
        )
        try:
            self.loop.run_until_complete(self._open())
        except BaseException:
            self.close()
            raise

    async def _open(self) -> None:
        config = self.config
        standings = self._promoted()
        limited = limited_live(self.strategy.name, standings, self.settings.control.limited)
        self.instruments = {one.symbol: one for one in await self.venue.instruments(config.symbols)}
        risk = self.settings.risk
        tree = load_limits(risk, self.instruments.values(), path=config.limits_file or risk.limits_file)
        if limited is not None:
            tree = capped(tree, limited.scope)
        self.limits = tree
        now_ms = await self.time.market_now_ms()
        await self.time.refuse_another_time(now_ms)
        self.run = Run.load(config, self.strategy.version) or await self._new_run(now_ms)
        self.plans = {symbol: self._plan(one) for symbol, one in self.instruments.items()}
        self._row = RunRow(self.journal, self.run)
        self._row.begin(config, self.strategy, now_ms, limited)
        fresh_for = config.interval.ms
        sender = Sender(
            self.journal, self.venue, self.clock, lambda intent: now_ms - intent.decided_ms <= fresh_for
        )
        for settled in await sender.recover():
            self.journal.apply(settled)
            log.info("left open by the last process: %s is %s", settled.client_order_id, settled.status)
        exposure = await reconcile(self.journal, self.venue, self.instruments.values())
        terms = tree.file.tail
        lake = Lake.from_settings(self.settings)
        self.watch = None if terms is None else ModelWatch(lake, tree, terms)
        tail = None if self.watch is None else self.watch.tail_limit(now_ms)
        self.gate = Gate(tree, self.instruments.values(), exposure, tail, venue=config.venue, limited=limited)
        for left in self.journal.open_orders():  # they rest at the venue
            filled = sum((fill.qty for fill in self.journal.fills(left.intent.client_order_id)), Decimal(0))
            self.gate.restore(replace(left.intent, qty=left.intent.qty - filled), now_ms)
        self.door = Door(
            self.gate, self.journal, self.run.run_id, promoted_run(self.strategy.name, standings)
        )
        self.door.stop_after_last_day(now_ms)
        if any(latch.scope == "firm" for latch in self.gate.latches):
            raise VenueError(
                "a kill is in force for this account",
                where=f"account {config.account}",
                remedy="find out why, then re-arm with `qtm kill --release`",
            )
        self.gate.arm(now_ms, "reconciled with the venue")
        self.keep_up_with_models(now_ms)
        self.heartbeat()
        log.info(
            "armed: %s %s on %s, cash %s %s, limits %s",
            config.strategy,
            self.strategy.version,
            ", ".join(config.symbols),
            f"{exposure.cash:f}",
            exposure.quote,
            tree.version,
        )

    def keep_up_with_models(self, now_ms: int) -> None:
        """Newer scenarios and lights for the gate, where the account has a CVaR budget."""
        change = None if self.watch is None else self.watch.keep_up(self.gate, now_ms)
        if change is not None:
            log.warning("%s since %s: %s", STATE_NAMES[change.after], iso_utc(change.at_ms), change.reason)

    def _promoted(self) -> dict[str, Standing]:
        """Where every symbol's candidate stands: anywhere but on paper on a live rung (TD-02).

        On paper nobody asks, and there is none.

        Raises
        ------
        RiskError
            Naming the first that stands lower.
        """
        if self.config.venue == PAPER:
            return {}
        have = self.settings
        standings = {}
        ladder = Ladder(self.journal.database, have.control, have.dossiers_dir, self.clock)
        for symbol in self.config.symbols:
            candidate = candidate_of(
                self.strategy,
                self.params,
                market=Market.SPOT.value,
                symbol=symbol,
                interval=self.config.interval.value,
                settings=self.settings,
            )
            standings[symbol] = standing = ladder.require(candidate, Rung.LIVE_LIMITED)
            log.info("%s %s stands at %s", self.strategy.name, symbol, standing.rung)
        return standings

    async def _new_run(self, now_ms: int) -> Run:
        step = self.config.interval.ms
        balances = await self.venue.balances()
        quote = next(iter(self.instruments.values())).quote
        cash = self.config.cash
        share = balances.get(quote, 0) / len(self.config.symbols) if cash is None else cash
        run = Run(
            run_id=Run.new_id(),
            identity=self.config.identity,
            strategy_version=self.strategy.version,
            trade_from_ms=now_ms // step * step,
            cash=float(share),
            first_sequence={
                symbol: self.journal.decided_count(self.strategy.name, symbol)
                for symbol in self.config.symbols
            },
        )
        run.save(self.config.run_dir)
        log.info("new run %s, trading from %s", run.run_id, iso_utc(run.trade_from_ms))
        return run

    def _plan(self, instrument: Instrument) -> TradingPlan:
        client_order_id(self.strategy.name, instrument.symbol, 0)  # a name too long is said before trading
        limits = self.limits.effective(self.strategy.name, instrument.symbol)
        return TradingPlan(
            strategy=self.strategy,
            params=self.params,
            instrument=instrument,
            cash=self.run.cash,
            sizing=self.config.sizing,
            interval_ms=self.config.interval.ms,
            trade_from_ms=self.run.trade_from_ms,
            band=self.config.band,
            first_sequence=self.run.first_sequence[instrument.symbol],
            sizer=sizer_of(self.config.sizer) if self.config.sizer else None,
            max_position_value=float(limits.limits.max_position_value),
            largest_order=lambda: self._largest_order(instrument.symbol),
        )

    def _largest_order(self, symbol: str) -> LargestOrder:
        """The largest order of the strategy under the limits now in force at the gate."""
        limits = self.gate.tree.effective(self.strategy.name, symbol).limits
        return LargestOrder(float(limits.max_order_value), float(limits.max_order_qty))

    def attach(self, feed: Feed) -> None:
        """The feed of this process."""
        self._feed = feed
        if self._stop_asked:
            feed.stop()

    def stop(self) -> None:
        """End once every order's outcome is known; safe to call from a signal handler."""
        self._stop_asked = True
        if self._feed is not None:
            self._feed.stop()

    @property
    def feed(self) -> Feed:
        """The source this process runs on."""
        if self._feed is None:
            raise RuntimeError("the dataflow has not started")
        return self._feed

    @property
    def frames_path(self) -> Path:
        """The run's frame journal."""
        return self.config.run_dir / "frames.log"

    @property
    def signals_path(self) -> Path:
        """One JSON line per closed bar: what the strategy answered."""
        return self.config.run_dir / "signals.jsonl"

    def heartbeat(self) -> None:
        """Say in the store that this process lives, and in which state."""
        self._row.heartbeat(STATE_NAMES[self.gate.state])

    def summary(self) -> dict[str, Any]:
        """What this process did, as plain data."""
        exposure = self.gate.exposure
        quantiles = _quantiles_us(self.latencies_ns)
        return {
            "run_id": self.run.run_id,
            "resumed": self.run.resumed,
            "state": STATE_NAMES[self.gate.state],
            "bars": self._feed.bars if self._feed else 0,
            "signals": self.counts["signals"],
            "orders": {
                name: self.counts[name]
                for name in ("approved", "refused", "filled", "expired", "rejected", "canceled")
            },
            "fills": self.counts["fills"],
            "positions": {symbol: f"{qty:f}" for symbol, qty in exposure.positions.items()},
            "equity": f"{round(exposure.equity(), 8):f}",
            "quote": exposure.quote,
            "tick_to_order_us": quantiles,
        }

    def finish(self) -> dict[str, Any]:
        """Record the end of the process and return its summary."""
        summary = self.summary()
        self._row.end(summary)
        return summary

    def close(self) -> None:
        """Close every connection and let another process take over."""
        self.loop.run_until_complete(self.venue.close())
        self.loop.run_until_complete(asyncio.sleep(0.05))  # aiohttp closes its transports one turn later
        self.loop.close()
        self.journal.database.close()
        os.close(self._lock)


def _quantiles_us(latencies_ns: list[int]) -> dict[str, float]:
    if not latencies_ns:
        return {}
    ordered = sorted(latencies_ns)
    pick = {"p50": 0.50, "p99": 0.99}
    return {
        name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000 for name, share in pick.items()
    }
