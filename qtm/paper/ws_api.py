"""The WebSocket API: the same operations as REST over one socket, sessions, and user-stream subscriptions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from time import perf_counter
from typing import Any
from urllib.parse import parse_qs, quote

from qtm.paper.auth import ApiKey, check_signature, check_time
from qtm.paper.errors import ApiError, mandatory
from qtm.paper.faults import Outcome
from qtm.paper.gateway import KEY_ONLY, NONE, USER_DATA, Call, Gateway, Operation, time_divisor
from qtm.paper.http import Request
from qtm.paper.params import Params, params_of
from qtm.paper.user_subscriptions import UserSubscriptions
from qtm.paper.websocket import WebSocket
from qtm.paper.wire import dumps


class Number(str):
    """A JSON number as it was written, because numbers are signed as written."""

    __slots__ = ()


class WsApiConnection:
    """One WebSocket API connection.

    `div` and `show_limits` come from the URL (`timeUnit`, `returnRateLimits`).
    """

    def __init__(
        self,
        gateway: Gateway,
        socket: WebSocket,
        request: Request,
    ) -> None:
        query = parse_qs(request.query)
        self.gateway = gateway
        self.socket = socket
        self.peer = request.peer
        self.div = time_divisor(query.get("timeUnit", [None])[0])
        self.show_limits = query.get("returnRateLimits", ["true"])[0].lower() != "false"
        self.connected_ms = gateway.wall.now_ms()
        self.session: ApiKey | None = None
        self.session_since_ms = 0
        self.subscriptions = UserSubscriptions(
            socket, gateway.faults, div=self.div, now=lambda: gateway.now_us() // self.div
        )
        self._methods: dict[str, Callable[[Params], Any]] = {
            "session.logon": self._logon,
            "session.status": self._status,
            "session.logout": self._logout,
            "session.subscriptions": self._list_subscriptions,
            "userDataStream.subscribe": self._subscribe_session,
            "userDataStream.subscribe.signature": self._subscribe_signed,
            "userDataStream.unsubscribe": self._unsubscribe,
        }
        gateway.address(self.peer).charge(2, gateway.wall.now_ms() / 1000)
        socket.on_text = self._text
        socket.on_close = self.subscriptions.close

    # --- requests ------------------------------------------------------------------------------------------
    def _text(self, message: bytes) -> None:
        try:
            request = json.loads(message, parse_float=Number, parse_int=_integer)
        except (ValueError, RecursionError):
            self._send(None, 400, error=ApiError(-1135, "Invalid JSON Request"), limits=None)
            return
        if not isinstance(request, dict):
            self._send(None, 400, error=ApiError(-1135, "Invalid JSON Request"), limits=None)
            return
        reference = request.get("id")
        method = request.get("method")
        if isinstance(reference, Number):
            reference = None
        if not isinstance(method, str):
            self._send(reference, 400, error=mandatory("method"), limits=None)
            return
        if reference is not None and not isinstance(reference, str | int):
            self._send(None, 400, error=ApiError(-1135, "Invalid JSON Request"), limits=None)
            return
        self._dispatch(reference, method.removeprefix("v3/").removeprefix("v1/"), request.get("params"))

    def _dispatch(self, reference: Any, method: str, raw: Any) -> None:
        operation = self.gateway.ws_methods.get(method)
        outcome = self.gateway.faults.on_request(operation.name if operation is not None else method)
        if outcome is None:
            self._answer(reference, method, operation, raw)
        else:
            task = asyncio.ensure_future(self._faulty(reference, method, operation, raw, outcome))
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)

    async def _faulty(
        self, reference: Any, method: str, operation: Operation | None, raw: Any, outcome: Outcome
    ) -> None:
        await asyncio.sleep(outcome.delay_s)
        mute = outcome.drop or outcome.error is not None
        if outcome.execute:
            late = outcome.delay_after_s
            self._answer(reference, method, operation, raw, mute=mute, delay_s=late)
        if outcome.drop:
            self.socket.abort()
        elif outcome.error is not None:
            limits = self.gateway.address(self.peer)
            self._send(
                reference, outcome.error.status, error=outcome.error, limits=self._limits(limits, None)
            )

    def _answer(
        self, reference: Any, method: str, operation: Operation | None, raw: Any, *, mute: bool = False,
        delay_s: float = 0.0,
    ) -> None:  # fmt: skip
        started = perf_counter()
        gateway = self.gateway
        limits = gateway.address(self.peer)
        account: Any = None
        params = params_of({})
        special = self._methods.get(method)
        show = self.show_limits
        status, result, error = 200, None, None
        try:
            if raw is not None and not isinstance(raw, dict):
                raise ApiError(-1135, "Invalid JSON Request")
            params = params_of(raw or {})
            show = params.flag("returnRateLimits", show)
            if operation is None and special is None:
                raise ApiError(-1020, "This operation is not supported.")
            if operation is None:
                assert special is not None
                limits.charge(2, gateway.wall.now_ms() / 1000)
                result = special(params)
                params.finish()
            else:
                weight = operation.weight if isinstance(operation.weight, int) else operation.weight(params)
                limits.charge(weight, gateway.wall.now_ms() / 1000)
                key = self._check(operation.security, params)
                account = gateway.accounts[key.account] if key is not None else None
                result = operation.run(Call(params, account, key, self.div))
                params.finish()
                if operation.free_on_success:
                    limits.refund(weight)
        except ApiError as failure:
            status, error = failure.status, failure
        seconds = perf_counter() - started
        if operation is not None:
            answer = error.body() if error is not None else result
            gateway.answered("ws", operation, account, params, status, answer, seconds)
        elif special is not None:
            gateway.metrics.answered("ws", method, status, seconds)
        if mute:
            return
        counted = account if operation is not None and operation.counts_orders else None
        usage = self._limits(limits, counted) if show else None
        if delay_s:
            asyncio.get_running_loop().call_later(
                delay_s, lambda: self._send(reference, status, result=result, error=error, limits=usage)
            )
        else:
            self._send(reference, status, result=result, error=error, limits=usage)

    def _check(self, security: str, params: Params) -> ApiKey | None:
        if security == NONE:
            return None
        gateway = self.gateway
        if self.session is not None and "apiKey" not in params and "signature" not in params:
            gateway.permit(self.session, security)
            if "timestamp" in params:
                check_time(params, gateway.now_us())
            return self.session
        if "apiKey" not in params:
            raise mandatory("apiKey")
        key = gateway.authenticate(params, params.required("apiKey"))
        gateway.permit(key, security)
        if security == KEY_ONLY:
            return key
        self._check_signed(key, params)
        return key

    def _check_signed(self, key: ApiKey, params: Params) -> None:
        if "timestamp" not in params:
            raise mandatory("timestamp")
        signature = params.required("signature")
        check_time(params, self.gateway.now_us())
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")
        try:
            check_signature(key, payload.encode(), signature)
        except ApiError:
            if payload.isascii():
                raise
            encoded = "&".join(
                f"{name}={quote(params[name], safe='')}" for name in sorted(params) if name != "signature"
            )
            check_signature(key, encoded.encode(), signature)

    def _limits(self, limits: Any, account: Any) -> list[dict[str, Any]]:
        now_s = self.gateway.wall.now_ms() / 1000
        shown = [{**limits.weight.limit.public(), "count": limits.weight.roll(now_s)}]
        if account is not None:
            orders = [{**limit.public(), "count": used} for limit, used in self.gateway.order_counts(account)]
            return orders + shown
        return shown

    def _send(
        self, reference: Any, status: int, *, result: Any = None, error: ApiError | None = None,
        limits: list[dict[str, Any]] | None,
    ) -> None:  # fmt: skip
        body: dict[str, Any] = {"id": reference, "status": status}
        if error is not None:
            body["error"] = error.body(with_data=True)
        else:
            body["result"] = result
        if limits is not None:
            body["rateLimits"] = limits
        elif error is not None and self.show_limits:
            body["rateLimits"] = self._limits(self.gateway.address(self.peer), None)
        self.socket.send_text(dumps(body))

    # --- sessions and subscriptions ------------------------------------------------------------------------
    def _logon(self, params: Params) -> dict[str, Any]:
        key = self._signed_key(params, USER_DATA)
        params.finish()
        if not key.is_ed25519:
            raise ApiError(-4056, "HMAC_SHA256 API key is not supported.", status=401)
        self.session, self.session_since_ms = key, self.gateway.wall.now_ms()
        return self._session_view()

    def _status(self, params: Params) -> dict[str, Any]:
        params.finish()
        return self._session_view()

    def _logout(self, params: Params) -> dict[str, Any]:
        params.finish()
        if self.session is not None:
            self.subscriptions.end_account(self.gateway.accounts[self.session.account])
        self.session = None
        return self._session_view()

    def _session_view(self) -> dict[str, Any]:
        return {
            "apiKey": self.session.key if self.session else None,
            "authorizedSince": self.session_since_ms * 1000 // self.div if self.session else None,
            "connectedSince": self.connected_ms * 1000 // self.div,
            "returnRateLimits": self.show_limits,
            "serverTime": self.gateway.now_us() // self.div,
            "userDataStream": bool(self.subscriptions),
        }

    def _list_subscriptions(self, params: Params) -> list[dict[str, Any]]:
        params.finish()
        return self.subscriptions.listed()

    def _subscribe_session(self, params: Params) -> dict[str, Any]:
        params.finish()
        if self.session is None:
            raise mandatory("apiKey")
        return self.subscriptions.add(self.gateway.accounts[self.session.account])

    def _subscribe_signed(self, params: Params) -> dict[str, Any]:
        key = self._signed_key(params, USER_DATA)
        params.finish()
        return self.subscriptions.add(self.gateway.accounts[key.account])

    def _unsubscribe(self, params: Params) -> dict[str, Any]:
        wanted = params.integer("subscriptionId")
        params.finish()
        self.subscriptions.end(wanted)
        return {}

    def _signed_key(self, params: Params, security: str) -> ApiKey:
        key = self.gateway.authenticate(params, params.required("apiKey"))
        self.gateway.permit(key, security)
        self._check_signed(key, params)
        return key


_tasks: set[asyncio.Task[None]] = set()


def _integer(text: str) -> int | Number:
    return int(text) if len(text) < 20 else Number(text)
