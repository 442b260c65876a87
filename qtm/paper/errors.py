"""Binance's error answers: code, text and HTTP status; raised anywhere, answered at the server's edge."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An error the venue answers with `{"code":..., "msg":...}`.

    Parameters
    ----------
    code, msg
        As in the venue's error table; clients match the text as well as the number.
    status
        HTTP status.
    headers
        Extra headers (such as Retry-After).
    data
        The `data` member some errors carry (cancelReplace, bans).
    """

    def __init__(
        self,
        code: int,
        msg: str,
        *,
        status: int = 400,
        headers: tuple[tuple[str, str], ...] = (),
        data: Any = None,
    ) -> None:
        super().__init__(code, msg)
        self.code = code
        self.msg = msg
        self.status = status
        self.headers = headers
        self.data = data

    def body(self, *, with_data: bool = False) -> dict[str, Any]:
        """The JSON body, with the `data` member where the door shows it."""
        body: dict[str, Any] = {"code": self.code, "msg": self.msg}
        if with_data and self.data is not None:
            body["data"] = self.data
        return body


def mandatory(name: str) -> ApiError:
    """-1102: a parameter is missing, empty or malformed."""
    return ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal(name: str, legal: str) -> ApiError:
    """-1100: a parameter holds characters outside its legal range."""
    return ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def not_required(name: str) -> ApiError:
    """-1106: a parameter the request must not carry."""
    return ApiError(-1106, f"Parameter '{name}' sent when not required.")


def precision(name: str) -> ApiError:
    """-1111: more decimals than the asset has."""
    return ApiError(-1111, f"Parameter '{name}' has too much precision.")


def invalid_symbol() -> ApiError:
    """-1121."""
    return ApiError(-1121, "Invalid symbol.")


def filter_failure(name: str) -> ApiError:
    """-1013: a symbol or account filter refuses the order."""
    return ApiError(-1013, f"Filter failure: {name}")


def rejected(msg: str) -> ApiError:
    """-2010: the matching engine refuses the order."""
    return ApiError(-2010, msg)


def insufficient_balance() -> ApiError:
    """-2010 with the text every client maps to "insufficient funds"."""
    return rejected("Account has insufficient balance for requested action.")


def unknown_order() -> ApiError:
    """-2011: nothing open to cancel."""
    return ApiError(-2011, "Unknown order sent.")


def no_such_order() -> ApiError:
    """-2013: nothing to show."""
    return ApiError(-2013, "Order does not exist.")


def client_id_mismatch() -> ApiError:
    """-2039: both ids were sent, and they belong to different orders."""
    return ApiError(-2039, "Client order ID is not correct for this order ID.")


def archived_order() -> ApiError:
    """-2026: the order is too old to be shown."""
    return ApiError(
        -2026, "Order was canceled or expired with no executed qty over 90 days ago and has been archived."
    )
