"""API keys and signatures: HMAC-SHA256, RSA (PKCS1 v1.5, SHA-256), Ed25519, over the bytes as sent.

Timing rule (venue documentation): a request is accepted when `timestamp < serverTime + 1000 ms` and
`serverTime - timestamp <= recvWindow`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from qtm.errors import ConfigError
from qtm.paper.errors import ApiError, illegal, mandatory
from qtm.paper.params import Params

MICROSECOND_THRESHOLD = 10**14
"""Timestamps at or above this are microseconds."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of an account: an HMAC secret, or an RSA or Ed25519 public key in PEM.

    `trade` allows orders; `read` allows account queries.
    """

    key: str
    account: str
    secret: str = field(default="", repr=False)
    public_key: RSAPublicKey | Ed25519PublicKey | None = field(default=None, repr=False)
    trade: bool = True
    read: bool = True

    @property
    def is_ed25519(self) -> bool:
        """Whether the key may log on a WebSocket session."""
        return isinstance(self.public_key, Ed25519PublicKey)


def api_key(key: str, account: str, *, secret: str = "", public_pem: str = "", trade: bool = True) -> ApiKey:
    """Build a key from an HMAC secret or a PEM public key; raises ConfigError for anything else."""
    if public_pem:
        try:
            public = load_pem_public_key(public_pem.encode())
        except ValueError as error:
            raise ConfigError(
                "the public key is not PEM", where=f"API key {key}", remedy=str(error)
            ) from None
        if not isinstance(public, RSAPublicKey | Ed25519PublicKey):
            raise ConfigError(
                "the public key is neither RSA nor Ed25519", where=f"API key {key}", remedy="use one of both"
            )
        return ApiKey(key, account, public_key=public, trade=trade)
    if not secret:
        raise ConfigError("an API key needs a secret or a public key", where=f"API key {key}")
    return ApiKey(key, account, secret=secret, trade=trade)


def check_format(key: str | None) -> str:
    """The key text of a request; raises -2014 when missing or not a key."""
    if not key or len(key) > 128 or not key.isascii() or not key.isprintable() or " " in key:
        raise ApiError(-2014, "API-key format invalid.", status=401)
    return key


def check_signature(key: ApiKey, payload: bytes, signature: str) -> None:
    """Raise -1022 unless `signature` signs `payload` under `key`."""
    if key.public_key is None:
        expected = hmac.digest(key.secret.encode(), payload, "sha256").hex()
        if hmac.compare_digest(expected, signature.lower()):
            return
        raise invalid_signature()
    try:
        raw = base64.b64decode(signature, validate=True)
        if isinstance(key.public_key, Ed25519PublicKey):
            key.public_key.verify(raw, payload)
        else:
            key.public_key.verify(raw, payload, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        raise invalid_signature() from None


def invalid_signature() -> ApiError:
    """-1022."""
    return ApiError(-1022, "Signature for this request is not valid.")


def signed_payload(query: str, body: str) -> tuple[bytes, str | None]:
    """Split a REST request into what was signed and the signature.

    The payload is the query string followed by the body, exactly as sent and without the `signature`
    parameter. A payload that is not percent-encoded (non-ASCII bytes) cannot be signed (-1022).
    """
    signature: str | None = None
    kept: list[str] = []
    for part in (query, body):
        if "signature=" not in part:
            kept.append(part)
            continue
        fields = []
        for pair in part.split("&"):
            if pair.startswith("signature="):
                signature = pair[10:] if signature is None else signature
            else:
                fields.append(pair)
        kept.append("&".join(fields))
    payload = "".join(kept)
    if not payload.isascii():
        raise invalid_signature()
    return payload.encode("ascii"), signature


def check_time(params: Params, now_us: int) -> None:
    """Check `timestamp` against `recvWindow`.

    Parameters
    ----------
    now_us
        The server's time in microseconds.

    Raises
    ------
    ApiError
        -1102 without a timestamp, -1131 or -1100 for a bad recvWindow, -1021 outside the window.
    """
    timestamp = params.integer("timestamp")
    if timestamp is None:
        raise mandatory("timestamp")
    window_us = 5_000_000
    if params.get("recvWindow") is not None:
        window = params.amount("recvWindow", 3) if params["recvWindow"] else None
        if window is None:
            raise illegal("recvWindow", "^[0-9]{1,5}(\\.[0-9]{1,3})?$")
        window_us = window // 100_000
        if window_us > 60_000_000:
            raise ApiError(-1131, "recvWindow must be less than 60000")
    else:
        params.used.add("recvWindow")
    then_us = timestamp if timestamp >= MICROSECOND_THRESHOLD else timestamp * 1000
    if then_us >= now_us + 1_000_000:
        raise ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_us - then_us > window_us:
        raise ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")
