"""Signatures, keys and clocks: the documented vectors, all three algorithms, and every refusal."""

from __future__ import annotations

import base64
import time
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from qtm.errors import ConfigError
from qtm.paper.auth import ApiKey, api_key, check_signature, signed_payload
from qtm.paper.errors import ApiError
from qtm.paper.server import AccountSpec
from tests.paper.clients import Rest
from tests.paper.worlds import KEY, exchange

DOC_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
PAYLOAD = (
    "symbol={}&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1"
    "&recvWindow=5000&timestamp=1499827319559"
)


@pytest.mark.parametrize(
    ("symbol", "signature"),
    [
        ("LTCBTC", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
        (quote("１２３４５６"), "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"),
    ],
)
def test_documented_hmac_vectors(symbol: str, signature: str) -> None:
    key = ApiKey("k", "a", secret=DOC_SECRET)
    payload, found = signed_payload(PAYLOAD.format(symbol) + "&signature=" + signature, "")
    assert found == signature
    check_signature(key, payload, signature)
    check_signature(key, payload, signature.upper())
    with pytest.raises(ApiError, match="-1022"):
        check_signature(key, payload + b" ", signature)


def test_query_and_body_are_signed_one_after_the_other_without_separator() -> None:
    payload, signature = signed_payload("symbol=LTCBTC&side=BUY", "quantity=1&signature=ab&price=2")
    assert (payload, signature) == (b"symbol=LTCBTC&side=BUYquantity=1&price=2", "ab")


def test_a_payload_that_is_not_percent_encoded_cannot_be_signed() -> None:
    with pytest.raises(ApiError, match="-1022"):
        signed_payload("symbol=１２３", "")


def test_a_key_needs_a_usable_secret() -> None:
    with pytest.raises(ConfigError):
        api_key("k", "a")
    with pytest.raises(ConfigError):
        api_key("k", "a", public_pem="nonsense")


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
async def test_public_key_signatures_are_accepted_and_forgeries_refused(kind: str) -> None:
    private = (
        ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else rsa.generate_private_key(65537, 2048)
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def sign(payload: bytes) -> str:
        raw = (
            private.sign(payload)
            if isinstance(private, ed25519.Ed25519PrivateKey)
            else private.sign(payload, padding.PKCS1v15(), hashes.SHA256())
        )
        return quote(base64.b64encode(raw).decode(), safe="")

    async with exchange() as ex, Rest(ex.url) as rest:
        ex.open_account(AccountSpec("desk", "asymmetric", public_key=public.decode()))
        payload = f"timestamp={int(time.time() * 1000)}&recvWindow=9000"
        header = {"X-MBX-APIKEY": "asymmetric"}
        status, body, _ = await rest.raw(
            "GET", "/api/v3/account", f"{payload}&signature={sign(payload.encode())}", headers=header
        )
        assert (status, body["accountType"]) == (200, "SPOT")
        status, body, _ = await rest.raw(
            "GET", "/api/v3/account", f"{payload}&signature={sign(b'other')}", headers=header
        )
        assert (status, body["code"]) == (400, -1022)


async def test_every_refusal_of_a_signed_request() -> None:
    async with exchange() as ex, Rest(ex.url) as rest:
        now = int(time.time() * 1000)
        key = {"X-MBX-APIKEY": KEY}

        async def ask(query: str, headers: dict[str, str]) -> tuple[int, int, str]:
            status, body, _ = await rest.raw("GET", "/api/v3/account", query, headers=headers)
            return status, body["code"], body["msg"]

        good = f"timestamp={now}&signature=00"
        assert await ask(good, {}) == (401, -2014, "API-key format invalid.")
        assert await ask(good, {"X-MBX-APIKEY": "nobody"}) == (
            401, -2015, "Invalid API-key, IP, or permissions for action.",
        )  # fmt: skip
        missing = "Mandatory parameter '{}' was not sent, was empty/null, or malformed."
        assert await ask("signature=00", key) == (400, -1102, missing.format("timestamp"))
        assert await ask(f"timestamp={now}", key) == (400, -1102, missing.format("signature"))
        assert await ask(good, key) == (400, -1022, "Signature for this request is not valid.")
        outside = "Timestamp for this request is outside of the recvWindow."
        ahead = "Timestamp for this request was 1000ms ahead of the server's time."
        assert (await rest.signed("GET", "account", skew_ms=-6000))[1] == {"code": -1021, "msg": outside}
        assert (await rest.signed("GET", "account", skew_ms=2500))[1] == {"code": -1021, "msg": ahead}
        assert (await rest.signed("GET", "account", skew_ms=-6000, recvWindow=60000))[0] == 200
        assert (await rest.signed("GET", "account", skew_ms=-50, recvWindow="10.5"))[1]["code"] == -1021
        assert (await rest.signed("GET", "account", recvWindow=60001))[1]["code"] == -1131
        assert (await rest.signed("GET", "account", recvWindow="1.2345"))[1]["code"] == -1111
        assert (await rest.signed("GET", "account", timestamp=now * 1000))[0] == 200
        ex.faults.clock_skew_ms = 10_000
        assert (await rest.signed("GET", "account"))[1]["msg"] == outside


async def test_signed_parameters_may_travel_in_the_body() -> None:
    async with exchange() as ex, Rest(ex.url) as rest:
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
        status, body, _ = await rest.signed("POST", "order", in_body=True, **order)
        assert (status, body["status"]) == (200, "FILLED")


async def test_a_key_without_trading_permission_may_only_read() -> None:
    async with exchange() as ex, Rest(ex.url, key="reader", secret="s") as rest:
        ex.application.gateway.keys["reader"] = api_key("reader", "desk", secret="s", trade=False)
        assert (await rest.signed("GET", "account"))[0] == 200
        status, body = await rest.order(side="BUY", type="MARKET", quantity="0.01")
        assert (status, body["code"]) == (401, -2015)
