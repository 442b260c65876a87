"""The dataflow itself.

feed -> branch -> (per symbol) strategies -> merge -> gate -> outbox, in one worker. Everything about one
symbol stays in order from the socket to the gate. What becomes of an order returns through the feed as one
more event, so that the stages need no way back and a replay sees exactly what the first run saw.
"""

from __future__ import annotations

import gc
from datetime import timedelta

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig
from bytewax.run import cli_main

from streaming.feed import FeedSource
from streaming.session import Session
from streaming.stages import GateStage, OutboxSink, StrategyStage, is_market, symbol_of


def build_flow(session: Session) -> Dataflow:
    """The live dataflow of one session."""
    flow = Dataflow("live")
    feed = op.input("feed", flow, FeedSource(session))
    kinds = op.branch("market_or_clock", feed, is_market)
    by_symbol = op.key_on("by_symbol", kinds.trues, symbol_of)
    traded = op.stateful_batch("strategies", by_symbol, lambda snapshot: StrategyStage(session, snapshot))
    everything = op.merge("in_order", op.key_rm("messages", traded), kinds.falses)
    judged = op.map("gate", everything, GateStage(session))
    op.output("outbox", judged, OutboxSink(session))
    return flow


def run_flow(session: Session) -> None:
    """Run until the feed ends; snapshots go to the run's recovery store.

    What is loaded by now stays: frozen, it costs no collection a pause while orders wait.
    """
    gc.collect()
    gc.freeze()
    cli_main(
        build_flow(session),
        epoch_interval=timedelta(seconds=session.config.epoch_s),
        recovery_config=RecoveryConfig(str(session.config.run_dir / "recovery")),
    )
