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
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig
from bytewax.run import cli_main

from qtm.errors import QtmError
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

    Raises
    ------
    QtmError
        What stopped a stage, as the stage said it.
    """
    gc.collect()
    gc.freeze()
    try:
        cli_main(
            build_flow(session),
            epoch_interval=timedelta(seconds=session.config.epoch_s),
            recovery_config=RecoveryConfig(str(session.config.run_dir / "recovery")),
        )
    except BytewaxRuntimeError as wrapped:
        said = _said_by_us(wrapped)
        if said is None:
            raise
        raise said from wrapped


def _said_by_us(error: BaseException) -> QtmError | None:
    """Our own error among the causes of one of the dataflow's."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, QtmError):
        cause = cause.__cause__
    return cause
