"""Signed parameters of the WebSocket API."""

from __future__ import annotations

import hmac
import time
from typing import Any

from tests.paper.worlds import KEY, SECRET


def signed(params: dict[str, Any], key: str = KEY, secret: str = SECRET) -> dict[str, Any]:
    """Parameters with key, time and signature, sorted as the WebSocket API signs them."""
    full = {**params, "apiKey": key, "timestamp": int(time.time() * 1000)}
    payload = "&".join(f"{name}={full[name]}" for name in sorted(full))
    return {**full, "signature": hmac.digest(secret.encode(), payload.encode(), "sha256").hex()}
