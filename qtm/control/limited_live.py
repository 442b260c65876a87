"""The caps of a live run (TD-07): those every grant was made on, tightened by the settings of today."""

from __future__ import annotations

from collections.abc import Mapping

from qtm.control.promotion import Standing
from qtm.control.requirements import Rung
from qtm.errors import RiskError
from qtm.execution.door import PromotedRun
from qtm.risk.limited import DAY_MS, LimitedLive, tighter
from qtm.settings import LimitedSettings


def promoted_run(strategy: str, standings: Mapping[str, Standing]) -> PromotedRun | None:
    """Until when a run may trade: the first of its promotions to end; None when it needs none."""
    ends_ms = [one.expires_ms for one in standings.values() if one.expires_ms is not None]
    return PromotedRun(strategy, min(ends_ms)) if ends_ms else None


def limited_live(
    strategy: str, standings: Mapping[str, Standing], today: LimitedSettings
) -> LimitedLive | None:
    """The caps of a run; None when every symbol stands at LIVE, or none needs to stand anywhere (on paper).

    One symbol at LIVE_LIMITED puts the whole run under caps: orders and days are the strategy's.

    Parameters
    ----------
    standings
        Where each symbol's candidate stands, at LIVE_LIMITED or above.
    today
        The caps of the settings: they may tighten those of a grant, loosening them needs a new grant.

    Raises
    ------
    RiskError
        When the run has more symbols than the caps allow, or a grant does not say its caps.
    """
    limited = {symbol: one for symbol, one in standings.items() if one.rung is not Rung.LIVE}
    if not limited:
        return None
    caps, since_ms, until_ms = today, [], []
    for symbol, one in limited.items():
        if one.caps is None or one.since_ms is None or one.expires_ms is None:
            raise RiskError(
                f"the grant of {one.rung} to {strategy} names no caps",
                where=symbol,
                remedy="let it be granted anew: without caps nothing is traded",
            )
        caps = tighter(caps, one.caps)
        since_ms.append(one.since_ms)
        until_ms.append(one.expires_ms)
    if len(standings) > caps.max_instruments:
        raise RiskError(
            f"{strategy} stands at LIVE_LIMITED, which allows {caps.max_instruments} instruments (TD-07), "
            f"not {len(standings)}",
            where=", ".join(standings),
            remedy="start it on fewer symbols; the cap is control.limited.max_instruments at the grant",
        )
    first_ms = min(since_ms)
    return LimitedLive(strategy, caps, first_ms, min(*until_ms, first_ms + caps.max_days * DAY_MS))
