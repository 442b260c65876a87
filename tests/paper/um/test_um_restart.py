"""A futures exchange that goes on after a restart, on real brackets or recorded frames."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from qtm.errors import ConfigError, StoreError
from qtm.paper.exchange import AccountSpec
from qtm.paper.pacing import STEP
from qtm.paper.recorded import FrameReplay
from qtm.paper.server import PaperExchange
from qtm.paper.um.brackets import LARGE, bracket_view, load_brackets
from qtm.paper.um.server import UmPaperExchange
from tests.paper.clients import Rest
from tests.paper.um.um_worlds import contract, exchange
from tests.paper.worlds import KEY, SECRET

MARKED = ("markPrice", "unRealizedProfit", "liquidationPrice", "notional", "initialMargin", "maintMargin",
          "positionInitialMargin", "openOrderInitialMargin", "crossUnPnl", "availableBalance",
          "maxWithdrawAmount")  # fmt: skip
"""What follows from the mark price."""


async def tell(rest: Rest, path: str, **params: Any) -> Any:
    method = params.pop("method", "GET")
    status, body, _ = await rest.signed(method, path, **params)
    assert status == 200, body
    return body


async def everything(rest: Rest) -> dict[str, Any]:
    paths = ("v3/balance", "v3/positionRisk", "v1/openOrders", "v1/openAlgoOrders", "v1/income",
             "v1/symbolConfig", "v1/accountConfig", "v1/feeBurn")  # fmt: skip
    shown = {path: await tell(rest, path) for path in paths}
    for row in shown["v3/balance"] + shown["v3/positionRisk"]:  # the market begins anew, and so does its mark
        for name in MARKED:
            row.pop(name, None)
    for path in ("allOrders", "userTrades", "allAlgoOrders"):
        shown[path] = await tell(rest, f"v1/{path}", symbol="BTCUSDT")
    named = {"symbol": "BTCUSDT", "origClientOrderId": "rest"}
    shown["amendments"] = await tell(rest, "v1/orderAmendment", **named)
    return shown


async def test_everything_survives_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "um.db"
    async with exchange(state=state) as venue, Rest(venue.url, prefix="/fapi") as rest:
        for path, params in (
            ("leverage", {"leverage": 10}),
            ("order", {"side": "BUY", "type": "MARKET", "quantity": "0.5"}),
            ("order", {"side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.2",
                       "price": "61500", "newClientOrderId": "rest"}),
            ("algoOrder", {"algoType": "CONDITIONAL", "side": "SELL", "type": "STOP_MARKET",
                           "triggerPrice": "50000", "quantity": "0.1", "clientAlgoId": "stop"}),
        ):  # fmt: skip
            await tell(rest, f"v1/{path}", method="POST", symbol="BTCUSDT", **params)
        await tell(rest, "v1/order", method="PUT", symbol="BTCUSDT", side="SELL", quantity="0.3",
                   price="61400", origClientOrderId="rest")  # fmt: skip
        await tell(rest, "v1/feeBurn", method="POST", feeBurn="true")
        before = await everything(rest)
        assert len(before["v1/openOrders"]) == len(before["v1/openAlgoOrders"]) == 1
    async with exchange(state=state) as venue, Rest(venue.url, prefix="/fapi") as rest:
        assert await everything(rest) == before
        assert venue.venue.imbalance("USDT") == 0
        order = next(iter(venue.venue.accounts["desk"].open_orders.values()))
        assert order.id in venue.venue.markets["BTCUSDT"].book.asks.levels[order.price].orders
        again = await tell(rest, "v1/order", method="POST", symbol="BTCUSDT", side="BUY", type="MARKET",
                           quantity="0.1", newOrderRespType="RESULT")  # fmt: skip
        assert again["orderId"] > before["allOrders"][-1]["orderId"]
        assert again["status"] == "FILLED"


def test_the_state_of_the_other_market_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    venue = exchange(state=state)
    venue.venue.store.commit(venue.venue)
    with pytest.raises(StoreError, match="um market"):
        PaperExchange(venue.feed, accounts=[AccountSpec("desk", KEY, SECRET)], state=state)


def test_brackets_are_read_as_the_venue_answers_them(tmp_path: Path) -> None:
    rows = [{"symbol": "BTCUSDT", "brackets": [bracket_view(b) for b in LARGE]}]
    file = tmp_path / "brackets.json"
    file.write_text(json.dumps(rows))
    assert load_brackets(file) == {"BTCUSDT": LARGE}
    tiers = {"BTC/USDT:USDT": [{"tier": b.number, "info": bracket_view(b)} for b in LARGE]}
    zipped = tmp_path / "tiers.json.gz"
    zipped.write_bytes(gzip.compress(json.dumps(tiers).encode()))
    assert load_brackets(zipped) == {"BTCUSDT": LARGE}


GAP = {
    "bracket": 2,
    "initialLeverage": 5,
    "notionalFloor": 9,
    "notionalCap": 10,
    "maintMarginRatio": 1,
    "cum": 0,
}


@pytest.mark.parametrize(
    "text",
    ["", "[1]", '[{"symbol": "A", "brackets": []}]', json.dumps([{"symbol": "A", "brackets": [GAP]}])],
)
def test_brackets_that_do_not_join_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "brackets.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match="brackets"):
        load_brackets(file)


def frame(second: int, stream: str, **data: Any) -> str:
    event = {"E": 1_717_200_000_000 + second * 1000, "s": "BTCUSDT", **data}
    return f"{second} " + json.dumps({"stream": f"btcusdt@{stream}", "data": event}) + "\n"


def test_recorded_futures_frames_drive_the_market_without_the_insurance_fund(tmp_path: Path) -> None:
    file = tmp_path / "frames"
    with file.open("w") as out:
        out.write(frame(0, "depth", e="depthUpdate", b=[["60000.0", "2"]], a=[["60000.1", "3"]]))
        out.write(frame(1, "trade", e="trade", p="60000.1", q="1", X="MARKET", m=False))
        out.write(frame(2, "trade", e="trade", p="40000.0", q="9", X="INSURANCE_FUND", m=True))
        moved = {"b": [["60010.0", "2"]], "a": [["60000.1", "0"], ["60010.1", "4"]]}
        out.write(frame(9, "depth", e="depthUpdate", **moved))
    venue = UmPaperExchange(
        FrameReplay(file, [contract()], speed=STEP),
        accounts=[AccountSpec("desk", KEY, SECRET, {"USDT": "1000"})],
    )
    venue.advance(5)
    market = venue.venue.markets["BTCUSDT"]
    assert [t.price for t in market.tape] == [6_000_010_000_000]
    assert 60_000 * 10**8 < venue.venue.mark("BTCUSDT") < 60_011 * 10**8
