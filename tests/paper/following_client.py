"""A client that keeps its account from user events alone, and asks the exchange when it distrusts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtm.paper.delivery import FaultyDelivery
from qtm.paper.faults import USER, Faults
from qtm.paper.wire import units_of

Ask = Callable[..., Any]


class FollowingClient:
    """Orders and balances as the events tell them, over a delivery that may misbehave.

    A repeated or old executionReport is recognised by its execution id; a lost event of any kind, or a
    balance event out of turn, is not, and makes the client `dirty` until it has asked again (`recover`).

    Parameters
    ----------
    ask
        Runs an operation as this account and returns its answer.
    """

    def __init__(self, faults: Faults, ask: Ask) -> None:
        self.balances: dict[str, tuple[int, int]] = {}
        self.orders: dict[int, tuple[str, int, int, int]] = {}
        """Status, quantity, executed quantity and executed quote by order id."""
        self.dirty = False
        self._seen: dict[int, int] = {}
        self._late: list[Callable[[], None]] = []
        self._ask = ask
        self._deliver = FaultyDelivery(self._take, faults, USER, later=self._hold)

    def __call__(self, event: dict[str, Any]) -> None:
        """An event leaves the exchange."""
        self._deliver(event["e"], event)

    def struck(self, kind: str, what: str) -> None:
        """A fault has struck an event on its way."""
        harmless = kind == "event_duplicated" or (what == "executionReport" and kind != "event_lost")
        self.dirty = self.dirty or not harmless

    @property
    def waiting(self) -> bool:
        """Whether events are still under way."""
        return bool(self._late)

    def arrive(self) -> None:
        """Everything late arrives."""
        late, self._late = self._late, []
        for send in late:
            send()

    def recover(self, symbol: str) -> None:
        """Ask for what the events may have failed to tell."""
        self.arrive()
        self.balances = {
            row["asset"]: (units_of(row["free"]), units_of(row["locked"]))
            for row in self._ask("account")["balances"]
        }
        newest = max(self.orders, default=0)
        listed = {row["orderId"]: row for row in self._ask("allOrders", symbol=symbol, limit=1000)}
        for order_id in {*self.orders, *listed}:
            row = listed.get(order_id) or self._ask("order.status", symbol=symbol, orderId=order_id)
            self.orders[order_id] = (
                row["status"], units_of(row["origQty"]), units_of(row["executedQty"]),
                units_of(row["cummulativeQuoteQty"]),
            )  # fmt: skip
        assert newest <= max(self.orders, default=0)
        self.dirty = False

    def _hold(self, seconds: float, send: Callable[..., None], *arguments: Any) -> None:
        self._late.append(lambda: send(*arguments))

    def _take(self, event: dict[str, Any]) -> None:
        if event["e"] == "outboundAccountPosition":
            self.balances |= {row["a"]: (units_of(row["f"]), units_of(row["l"])) for row in event["B"]}
        elif event["e"] == "executionReport" and event["I"] > self._seen.get(event["i"], -1):
            self._seen[event["i"]] = event["I"]
            self.orders[event["i"]] = (
                event["X"], units_of(event["q"]), units_of(event["z"]), units_of(event["Z"]),
            )  # fmt: skip
