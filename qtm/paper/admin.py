"""The admin pages of the paper exchange: status, stepping, faults, halts, filters, deposits, connections.

They live under `/paper/` (JSON in, JSON out) and `/metrics`, next to the venue's own paths, on loopback only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtm.errors import ConfigError, QtmError
from qtm.paper.errors import ApiError
from qtm.paper.faults import FaultRule
from qtm.paper.http import Request, Response
from qtm.paper.wire import dumps, units_of

if TYPE_CHECKING:
    from qtm.paper.exchange import LoopbackExchange

STATUSES = ("TRADING", "HALT", "BREAK", "END_OF_DAY", "CANCEL_ONLY")


class Admin:
    """Answers the admin pages of one exchange."""

    def __init__(self, exchange: LoopbackExchange) -> None:
        self.exchange = exchange
        self._pages: dict[tuple[str, str], Callable[[dict[str, Any]], Any]] = {
            ("GET", "/paper/status"): self._status,
            ("POST", "/paper/advance"): self._advance,
            ("POST", "/paper/begin"): self._begin,
            ("GET", "/paper/faults"): self._list_faults,
            ("POST", "/paper/faults"): self._add_fault,
            ("DELETE", "/paper/faults"): self._clear_faults,
            ("POST", "/paper/clock-skew"): self._skew,
            ("POST", "/paper/symbol-status"): self._symbol_status,
            ("POST", "/paper/symbol-filters"): self._symbol_filters,
            ("POST", "/paper/deposit"): self._deposit,
            ("POST", "/paper/disconnect"): self._disconnect,
            ("POST", "/paper/server-shutdown"): self._server_shutdown,
            ("POST", "/paper/expire-listen-keys"): self._expire_listen_keys,
        }

    def __call__(self, request: Request) -> Response:
        """Answer one request; what is wrong with it is told in words, status 400."""
        if request.path == "/metrics":
            return Response(200, self.exchange.metrics.text(), content_type="text/plain; version=0.0.4")
        page = self._pages.get((request.method, request.path))
        if page is None:
            return Response(404, dumps({"error": f"no admin page {request.method} {request.path}"}))
        try:
            body = json.loads(request.body or b"{}")
            if not isinstance(body, dict):
                raise TypeError("a JSON object is expected")
            return Response(200, dumps(page(body)))
        except (
            QtmError,
            ApiError,
            ValueError,
            TypeError,
            KeyError,
            ArithmeticError,
            RecursionError,
        ) as error:
            return Response(400, dumps({"error": f"{type(error).__name__}: {error}"}))

    def page(self, action: str) -> Callable[[dict[str, Any]], Any]:
        """What answers `POST /paper/<action>`; raises ConfigError for an unknown action."""
        page = self._pages.get(("POST", f"/paper/{action}"))
        if page is None:
            known = ", ".join(sorted(path[7:] for method, path in self._pages if method == "POST"))
            raise ConfigError(f"unknown action {action!r}", where="scenario", remedy=f"use one of {known}")
        return page

    def act(self, action: str, body: dict[str, Any]) -> Any:
        """Do what `POST /paper/<action>` does; raises ConfigError for a bad body."""
        try:
            return self.page(action)(body)
        except (ApiError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{type(error).__name__}: {error}", where=f"scenario action {action}") from None

    def _status(self, body: dict[str, Any]) -> dict[str, Any]:
        return self.exchange.status()

    def _advance(self, body: dict[str, Any]) -> dict[str, Any]:
        moved = self.exchange.advance(int(body.get("bars", 1)))
        return {"advanced": moved, **self.exchange.status()}

    def _begin(self, body: dict[str, Any]) -> dict[str, Any]:
        self.exchange.feed.begin()
        return self.exchange.status()

    def _list_faults(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        return self.exchange.faults.describe()

    def _add_fault(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        self.exchange.faults.add(FaultRule(**body))
        return self.exchange.faults.describe()

    def _clear_faults(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        self.exchange.faults.clear()
        return []

    def _skew(self, body: dict[str, Any]) -> dict[str, Any]:
        self.exchange.faults.clock_skew_ms = int(body["ms"])
        return {"clock_skew_ms": self.exchange.faults.clock_skew_ms}

    def _symbol_status(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["status"] not in STATUSES:
            raise ValueError(f"status must be one of {', '.join(STATUSES)}")
        self.exchange.venue_base.markets[body["symbol"]].status = body["status"]
        return {"symbol": body["symbol"], "status": body["status"]}

    def _symbol_filters(self, body: dict[str, Any]) -> dict[str, Any]:
        filters = self.exchange.venue_base.change_filters(body["symbol"], body["filters"])
        return {"symbol": body["symbol"], "filters": filters}

    def _deposit(self, body: dict[str, Any]) -> dict[str, Any]:
        account = self.exchange.venue_base.accounts[body["account"]]
        self.exchange.venue_base.deposit(account, str(body["asset"]), units_of(str(body["amount"])))
        return {"account": account.name, "asset": body["asset"]}

    def _disconnect(self, body: dict[str, Any]) -> dict[str, Any]:
        """Cut (`abort`), close (`close`) or silence (`half-open`) sockets of a kind, or all."""
        how, kind = body.get("how", "abort"), body.get("kind")
        if how not in ("abort", "close", "half-open"):
            raise ValueError("how must be abort, close or half-open")
        struck = [s for s in self.exchange.application.sockets.values() if kind in (None, s.kind)]
        for opened in struck:
            if how == "half-open":
                opened.socket.silent = True
            elif how == "close":
                opened.socket.close(1008, "disconnected")
            else:
                opened.socket.abort()
        return {"sockets": len(struck)}

    def _server_shutdown(self, body: dict[str, Any]) -> dict[str, Any]:
        self.exchange.application.announce_shutdown()
        return {"sockets": len(self.exchange.application.sockets)}

    def _expire_listen_keys(self, body: dict[str, Any]) -> dict[str, Any]:
        keys = self.exchange.application.listen_keys
        return {"keys": 0 if keys is None else keys.end_all()}
