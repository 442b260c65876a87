"""Commission: tiers, the discount for paying in BNB, what happens when the BNB runs out."""

from __future__ import annotations

from qtm.paper.server import AccountSpec, PaperExchange
from qtm.paper.wire import E8, units_of
from qtm.trading.costs import SPOT_COSTS, commission
from qtm.trading.fee_tiers import fee_schedule
from tests.paper.clients import Rest
from tests.paper.worlds import KEY, SECRET, replay


def world(funds: dict[str, str], tier: int = 0, bnb: float | None = None, **options: str) -> PaperExchange:
    costs = fee_schedule("spot", tier, bnb=bnb)
    feed = replay(("BTCUSDT", "BTC", "USDT"), costs=SPOT_COSTS)
    return PaperExchange(feed, accounts=[AccountSpec("desk", KEY, SECRET, funds)], costs=costs)


async def bought(ex: PaperExchange, rest: Rest) -> dict[str, str]:
    ex.venue.set_depth("BTCUSDT", [], [(60_000 * E8, 9 * E8)])
    status, body = await rest.order(side="BUY", type="MARKET", quantity="0.5")
    assert status == 200, body
    fill: dict[str, str] = body["fills"][0]
    return fill


async def test_a_tier_s_rates_are_shown_and_charged() -> None:
    async with world({"USDT": "100000"}, tier=3) as ex, Rest(ex.url) as rest:
        _, shown, _ = await rest.signed("GET", "account/commission", symbol="BTCUSDT")
        assert shown["standardCommission"] == {
            "maker": "0.00042000", "taker": "0.00060000", "buyer": "0.00000000", "seller": "0.00000000",
        }  # fmt: skip
        assert shown["discount"]["enabledForAccount"] is False
        assert await bought(ex, rest) | {"tradeId": 0} == {
            "price": "60000.00000000", "qty": "0.50000000", "commission": "0.00030000",
            "commissionAsset": "BTC", "tradeId": 0,
        }  # fmt: skip


async def test_bnb_pays_three_quarters_and_exactly_what_the_engine_books() -> None:
    async with world({"USDT": "100000", "BNB": "1"}, bnb=613.7) as ex, Rest(ex.url) as rest:
        _, shown, _ = await rest.signed("GET", "account/commission", symbol="BTCUSDT")
        assert shown["standardCommission"]["taker"] == "0.00100000"
        assert (shown["discount"]["enabledForAccount"], shown["discount"]["discount"]) == (True, "0.75000000")
        fill = await bought(ex, rest)
        assert (fill["commission"], fill["commissionAsset"]) == ("0.03666286", "BNB")
        _, in_quote = commission(1, 0.5, 60_000.0, False, fee_schedule("spot", 0, bnb=613.7))
        assert round(in_quote / 613.7, 8) == 0.03666286
        balances = ex.venue.accounts["desk"].balances
        assert balances["BNB"].free == E8 - 3_666_286
        assert balances["BTC"].free == E8 // 2
        assert ex.venue.treasury.fees == {"BNB": 3_666_286}


async def test_without_enough_bnb_the_full_commission_comes_out_of_what_was_received() -> None:
    async with world({"USDT": "100000", "BNB": "0.03"}, bnb=600.0) as ex, Rest(ex.url) as rest:
        fill = await bought(ex, rest)
        assert (fill["commission"], fill["commissionAsset"]) == ("0.00050000", "BTC")
        assert ex.venue.accounts["desk"].balance("BNB").free == units_of("0.03")


async def test_an_account_switches_the_burning_of_bnb_on_and_off() -> None:
    async with world({"USDT": "100000", "BNB": "1"}) as ex, Rest(ex.url) as rest:
        assert (await bought(ex, rest))["commissionAsset"] == "BTC"
        account = ex.venue.accounts["desk"]
        account.fees.bnb_discount = True
        # Nobody knows what a BNB costs here.
        assert (await bought(ex, rest))["commissionAsset"] == "BTC"
        _, tested, _ = await rest.signed(
            "POST", "order/test", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.5",
            computeCommissionRates="true",
        )  # fmt: skip
        assert tested["discount"]["enabledForAccount"] is True
        assert tested["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00100000"}
