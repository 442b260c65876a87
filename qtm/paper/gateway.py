"""From a request to an answer: routing, limits, keys, signatures, time units and headers, for any market.

A market describes itself by `Operation`s (one per thing a client can ask), the REST routes and the WebSocket
API methods that lead to them. Both doors run the same operation, so an order is one thing however it arrives.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from qtm.clock import Clock
from qtm.paper.auth import ApiKey, check_format, check_signature, check_time, signed_payload
from qtm.paper.errors import ApiError, mandatory
from qtm.paper.faults import Faults, Outcome
from qtm.paper.http import Request, Response
from qtm.paper.limits import AddressLimits, OrderLimits, RateLimit
from qtm.paper.metrics import Metrics
from qtm.paper.params import Params, parse_form
from qtm.paper.wire import dumps

log = logging.getLogger(__name__)

NONE, KEY_ONLY, USER_DATA, TRADE = "NONE", "KEY_ONLY", "USER_DATA", "TRADE"

SECRET = frozenset({"apiKey", "signature", "listenKey", "timestamp", "recvWindow"})
"""Parameters that never reach a log: credentials, and what says nothing about the order."""

_NO_PARAMS = Params({})
_LOGGED_BYTES = 400


@dataclass(slots=True)
class Call:
    """One request on its way through an operation.

    `account` is the market's account object (None for public operations); `div` turns microseconds into the
    unit the client asked for (1000 for milliseconds, 1 for microseconds).
    """

    params: Params
    account: Any
    key: ApiKey | None
    div: int = 1000


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a client can ask.

    Attributes
    ----------
    run
        Computes the answer's JSON. It reads every parameter and calls `params.finish()` before it changes
        anything.
    weight
        Request weight, or how to compute it from the parameters.
    security
        `NONE`, `KEY_ONLY` (a known key, no signature), `USER_DATA` or `TRADE` (signed).
    free_on_success
        Whether a successful call costs no weight (order entry).
    counts_orders
        Whether answers carry the account's order counts.
    pool
        A limit of its own that an address shares among such operations, beside its request weight.
    """

    name: str
    run: Callable[[Call], Any]
    weight: int | Callable[[Params], int] = 1
    security: str = NONE
    free_on_success: bool = False
    counts_orders: bool = False
    pool: RateLimit | None = None


@dataclass
class Gateway:
    """The front door of one market."""

    market: str
    wall: Clock
    rate_limits: tuple[RateLimit, ...]
    accounts: Mapping[str, Any]
    faults: Faults
    metrics: Metrics
    operations: dict[str, Operation] = field(default_factory=dict)
    routes: dict[tuple[str, str], Operation] = field(default_factory=dict)
    ws_methods: dict[str, Operation] = field(default_factory=dict)
    keys: dict[str, ApiKey] = field(default_factory=dict)
    addresses: dict[str, AddressLimits] = field(default_factory=dict)
    signs_time_unit: bool = True

    def add(self, operation: Operation, *, rest: tuple[str, ...] = (), ws: tuple[str, ...] = ()) -> None:
        """Offer an operation at REST routes (`"GET /api/v3/time"`) and under WebSocket API method names."""
        self.operations[operation.name] = operation
        for route in rest:
            method, path = route.split(" ")
            self.routes[method, path] = operation
        for name in ws:
            self.ws_methods[name] = operation

    # --- REST ----------------------------------------------------------------------------------------------
    def rest(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a REST request; never raises."""
        operation = self.routes.get((request.method, request.path))
        if operation is None:
            return self._no_route(request)
        outcome = self.faults.on_request(operation.name)
        if outcome is None:
            return self._answer(operation, request)
        return self._faulty(operation, request, outcome)

    def address(self, peer: str) -> AddressLimits:
        """The limits of an IP address."""
        found = self.addresses.get(peer)
        if found is None:
            found = self.addresses[peer] = AddressLimits(self.rate_limits)
        return found

    def now_us(self) -> int:
        """Server time in microseconds: the wall clock, plus the skew a fault may have set."""
        return self.wall.now_ns() // 1000 + self.faults.clock_skew_ms * 1000

    def authenticate(self, params: Params, key_text: str | None) -> ApiKey:
        """The key of a request; raises -2014 or -2015."""
        key = self.keys.get(check_format(key_text))
        if key is None:
            raise rejected_key()
        return key

    def permit(self, key: ApiKey, security: str) -> None:
        """Raise -2015 unless the key may do what the operation needs."""
        if (security == TRADE and not key.trade) or (security == USER_DATA and not key.read):
            raise rejected_key()

    def order_counts(self, account: Any) -> list[tuple[RateLimit, int]]:
        """The account's order windows and what is used in them."""
        limits: OrderLimits = account.limits
        return limits.counts(self.wall.now_ms() / 1000)

    def answered(
        self, door: str, operation: Operation, account: Any, params: Params, status: int, answer: Any,
        seconds: float,
    ) -> None:  # fmt: skip
        """Count an answer; orders (and whatever else trades) also leave a line in the debug log."""
        self.metrics.answered(door, operation.name, status, seconds)
        if operation.security == TRADE and log.isEnabledFor(logging.DEBUG):
            asked = " ".join(f"{name}={value!r}" for name, value in params.items() if name not in SECRET)
            name = account.name if account is not None else "?"
            log.debug(
                "%s %s %s %s %s -> %d in %.0f us: %s",
                self.market, name, door, operation.name, asked, status, 1e6 * seconds, _short(dumps(answer)),
            )  # fmt: skip

    def _answer(self, operation: Operation, request: Request) -> Response:
        started = perf_counter()
        limits = self.address(request.peer)
        headers: list[tuple[str, str]] = []
        account: Any = None
        status = 200
        params = _NO_PARAMS
        try:
            params = parse_form(request.query, request.body.decode("utf-8", "replace"))
            weight = operation.weight if isinstance(operation.weight, int) else operation.weight(params)
            limits.charge(weight, self.wall.now_ms() / 1000)
            if operation.pool is not None:
                limits.charge_pool(operation.pool, self.wall.now_ms() / 1000)
            div = _time_divisor(request.headers)
            key = self._check(operation, request, params)
            account = self.accounts[key.account] if key is not None else None
            result = operation.run(Call(params, account, key, div))
            params.finish()
            if operation.free_on_success:
                limits.refund(weight)
        except ApiError as error:
            status = error.status
            headers.extend(error.headers)
            result = error.body(with_data=error.code in (-2021, -2022))
        body = dumps(result)
        self.answered("rest", operation, account, params, status, result, perf_counter() - started)
        self._usage(limits, headers)
        if operation.counts_orders and account is not None:
            headers.extend(
                (f"X-MBX-ORDER-COUNT-{limit.letters}", str(used))
                for limit, used in self.order_counts(account)
            )
        return Response(status, body, headers)

    def _check(self, operation: Operation, request: Request, params: Params) -> ApiKey | None:
        security = operation.security
        if security == NONE:
            return None
        key = self.authenticate(params, request.headers.get("x-mbx-apikey"))
        self.permit(key, security)
        if security == KEY_ONLY:
            return key
        payload, _ = signed_payload(request.query, request.body.decode("latin-1"))
        if "timestamp" not in params:
            raise mandatory("timestamp")
        signature = params.required("signature")
        check_time(params, self.now_us())
        check_signature(key, payload, signature)
        return key

    def _usage(self, limits: AddressLimits, headers: list[tuple[str, str]]) -> None:
        used = str(limits.weight.roll(self.wall.now_ms() / 1000))
        headers.append(("X-MBX-USED-WEIGHT", used))
        headers.append((f"X-MBX-USED-WEIGHT-{limits.weight.limit.letters}", used))

    def _no_route(self, request: Request) -> Response:
        if any(path == request.path for _, path in self.routes):
            return Response(405, b'{"code":-1000,"msg":"Request method not supported."}')
        return Response(
            404, b"<html><head><title>404 Not Found</title></head><body>404 Not Found</body></html>",
            content_type="text/html",
        )  # fmt: skip

    async def _faulty(self, operation: Operation, request: Request, outcome: Outcome) -> Response:
        """Answer as a fault demands: late, wrongly, or not at all, with or without having acted."""
        if outcome.delay_s:
            await asyncio.sleep(outcome.delay_s)
        response = self._answer(operation, request) if outcome.execute else None
        if outcome.delay_after_s:
            await asyncio.sleep(outcome.delay_after_s)
        if outcome.drop:
            return Response(0, b"", drop=True)
        if outcome.error is not None:
            error = outcome.error
            headers = list(error.headers)
            self._usage(self.address(request.peer), headers)
            self.metrics.answered("rest", operation.name, error.status, 0.0)
            return Response(error.status, dumps(error.body()), headers)
        assert response is not None
        return response


def _short(body: bytes) -> str:
    text = body[:_LOGGED_BYTES].decode("utf-8", "replace")
    return text if len(body) <= _LOGGED_BYTES else f"{text}... ({len(body)} bytes)"


def rejected_key() -> ApiError:
    """-2015."""
    return ApiError(-2015, "Invalid API-key, IP, or permissions for action.", status=401)


def time_divisor(unit: str | None) -> int:
    """1000 for milliseconds (the default), 1 for microseconds; -1194 for anything else."""
    if unit is None or unit.upper() == "MILLISECOND":
        return 1000
    if unit.upper() == "MICROSECOND":
        return 1
    raise ApiError(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")


def _time_divisor(headers: Mapping[str, str]) -> int:
    return time_divisor(headers.get("x-mbx-time-unit"))
