"""The ladder refuses what is unproven, unauthorised, expired, changed or tampered with, and says why."""

import dataclasses
import hashlib
import json
from types import SimpleNamespace

import pytest
from sqlalchemy import insert, update

from qtm.backtest.look_ahead import Finding, Proof
from qtm.backtest.overfitting.verdict import Control
from qtm.backtest.registry import DAILY_SHARPE, Trial, TrialRegistry
from qtm.clock import ManualClock
from qtm.control.candidate import candidate_of, config_digest, place_of
from qtm.control.dossier import find_dossier
from qtm.control.promotion import Ladder
from qtm.control.requirements import (
    LIMITED_DAYS,
    PAPER_DAYS,
    REPLAY_BARS,
    SOURCE,
    Evidence,
    Rung,
    Waiver,
    requirements_of,
)
from qtm.errors import ConfigError, RiskError, StoreError
from qtm.market.instruments import Market
from qtm.settings import ControlSettings, LimitedSettings, RiskSettings, Settings
from qtm.store.database import open_database
from qtm.store.schema import kills, promotions, runs
from qtm.strategies.registry import load_strategy
from tests.control.support import DAY_MS, FILLED, fill_in, prove_once, run_row, verdict_on

TREND = load_strategy("trend")
PARAMS = TREND.params({"fast": 3, "slow": 20})
RULES = ControlSettings(authorisers=("bob", "ann"), risk_officers=("rita",), promotion_days=60)


def candidate(**changes):
    made = candidate_of(TREND, PARAMS, market="spot", symbol="BTCUSDT", interval="1h", settings=Settings())
    return dataclasses.replace(made, **changes)


def verdict(**changes):
    return verdict_on(candidate(), **changes)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A ladder on a database of its own."""
    prove_once(monkeypatch)
    clock = ManualClock(1_700_000_000_000)
    database = open_database(f"sqlite:///{tmp_path / 'qtm.db'}")
    dossiers = tmp_path / "dossiers"
    fill_in(dossiers)
    ladder = Ladder(database, RULES, dossiers, clock)
    return SimpleNamespace(clock=clock, database=database, dossiers=dossiers, ladder=ladder)


def climb(desk, to, **settings):
    return desk.ladder.promote(TREND, candidate(), to, **({"author": "ann", "authoriser": "bob"} | settings))


def add_run(desk, number, days=0.0, bars=0, **changes):
    row = run_row(candidate(), str(number), desk.clock.now_ms(), days=days, bars=bars)
    with desk.database.write() as connection:
        connection.execute(insert(runs).values(row | changes))


def to_rung(desk, rung):
    """Climb with everything in order."""
    desk.ladder.record_examination(candidate(), verdict(), "ann")
    add_run(desk, "all", days=PAPER_DAYS, bars=REPLAY_BARS)
    for step in list(Rung)[1 : rung.height + 1]:
        if step is Rung.LIVE:
            desk.clock.set_ms(desk.clock.now_ms() + int(LIMITED_DAYS * DAY_MS))
        standing = climb(desk, step)
    return standing


def test_everything_in_order_climbs_to_live_one_rung_at_a_time(desk):
    assert desk.ladder.standing(candidate()).rung is Rung.RESEARCH
    standing = to_rung(desk, Rung.LIVE)
    assert standing.rung is Rung.LIVE
    assert standing.expires_ms - standing.since_ms == 60 * DAY_MS
    assert [record["rung"] for record in desk.ladder.history(candidate())] == [str(r) for r in list(Rung)[1:]]
    record = desk.ladder.history()[0]
    assert (record["author"], record["authoriser"], record["data_version"]) == ("ann", "bob", 7)
    assert record["bound_to"] == candidate().with_data(7) != candidate().with_data(8)
    with pytest.raises(RiskError, match="already stands at LIVE"):
        desk.ladder.pack(TREND, candidate())


def test_a_rung_cannot_be_skipped(desk):
    desk.ladder.record_examination(candidate(), verdict(), "ann")
    with pytest.raises(RiskError, match="next rung is BACKTEST"):
        climb(desk, Rung.REPLAY)
    assert desk.ladder.history() == []


def test_without_an_examination_nothing_leaves_research(desk):
    with pytest.raises(RiskError, match="no examination on record"):
        climb(desk, Rung.BACKTEST)


def test_a_failed_gate_stops_at_backtest_with_its_name(desk):
    desk.ladder.record_examination(candidate(), verdict(deflated_sharpe=0.5), "ann")
    climb(desk, Rung.BACKTEST)
    with pytest.raises(RiskError, match="Deflated Sharpe ratio failed"):
        climb(desk, Rung.REPLAY)
    pack = desk.ladder.pack(TREND, candidate())
    assert not pack.complete and [one.met for one in pack.requirements] == [True, True, False, True]


def test_a_window_picked_after_a_longer_history_was_seen_stops_at_backtest(desk):
    registry = TrialRegistry(desk.database)
    tried = Trial(
        "trend", "an older version", {"fast": 9.0}, "BTCUSDT", "1h", 0, DAY_MS, 7, {DAILY_SHARPE: 0.1}
    )
    registry.record([tried, dataclasses.replace(tried, symbol="ETHUSDT", end_ms=900 * DAY_MS)])
    registry.record([dataclasses.replace(tried, start_ms=-30 * DAY_MS, end_ms=32 * DAY_MS)])
    desk.ladder.record_examination(candidate(), verdict(), "ann")
    climb(desk, Rung.BACKTEST)
    assert desk.ladder.pack(TREND, candidate()).complete
    registry.record([dataclasses.replace(tried, end_ms=33 * DAY_MS)])
    with pytest.raises(RiskError, match="tried from 1969-12-02 to 1970-02-03; Examined from 1970-01-01"):
        climb(desk, Rung.REPLAY)


def test_the_newest_examination_counts(desk):
    desk.ladder.record_examination(candidate(), verdict(), "ann")
    desk.ladder.record_examination(candidate(), verdict(stress=0.9), "ann")
    climb(desk, Rung.BACKTEST)
    with pytest.raises(RiskError, match="Worst fall"):
        climb(desk, Rung.REPLAY)


@pytest.mark.parametrize(
    ("people", "words"),
    [
        ({"author": "bob"}, "somebody else"),
        ({"author": " BOB "}, "somebody else"),
        ({"author": ""}, "somebody else"),
        ({"authoriser": "mallory"}, "not a designated authoriser"),
        ({"authoriser": ""}, "not a designated authoriser"),
    ],
)
def test_only_a_designated_authoriser_who_is_not_the_author_may_promote(desk, people, words):
    desk.ladder.record_examination(candidate(), verdict(), "ann")
    with pytest.raises(RiskError, match=words):
        climb(desk, Rung.BACKTEST, **people)


def test_with_no_authorisers_named_nobody_promotes(desk):
    desk.ladder.record_examination(candidate(), verdict(), "ann")
    closed = Ladder(desk.database, ControlSettings(), desk.dossiers, desk.clock)
    with pytest.raises(RiskError, match="not a designated"):
        closed.promote(TREND, candidate(), Rung.BACKTEST, author="ann", authoriser="bob")


WAIVER = Waiver((Control.DEFLATED_SHARPE,), "rita", "short history of a new listing")


def test_a_waiver_carries_to_limited_live_and_no_further(desk):
    desk.ladder.record_examination(candidate(), verdict(deflated_sharpe=0.5), "ann")
    add_run(desk, 1, days=PAPER_DAYS, bars=REPLAY_BARS)
    climb(desk, Rung.BACKTEST)
    climb(desk, Rung.REPLAY, waiver=WAIVER)
    climb(desk, Rung.PAPER)
    assert climb(desk, Rung.LIVE_LIMITED).waiver == WAIVER
    desk.clock.set_ms(desk.clock.now_ms() + int(LIMITED_DAYS * DAY_MS))
    with pytest.raises(RiskError, match="No gate waived: a gate of the verdict is waived"):
        climb(desk, Rung.LIVE)


def test_what_a_source_brings_along_passes_once_risk_accepts_it_and_does_not_keep_it_from_live(desk):
    read = Finding("knows nothing but its bars", False, "reads data by load() [mine.py:9]", acceptable=True)
    accepted = Waiver((SOURCE,), "rita", "a model trained on 2019")

    written = find_dossier(desk.dossiers, "trend")

    def unmet(rung, waiver):
        evidence = Evidence(TREND, candidate(), Proof((read,)), verdict(), waiver, LIMITED_DAYS, written)
        with desk.database.read() as connection:
            return {
                one.name: one.observed for one in requirements_of(rung, evidence, connection) if not one.met
            }

    assert unmet(Rung.REPLAY, None) == {"Knows nothing of its own": read.observed}
    assert unmet(Rung.REPLAY, WAIVER) == {"Knows nothing of its own": read.observed}
    assert unmet(Rung.REPLAY, accepted) == unmet(Rung.LIVE, accepted) == {}
    with pytest.raises(ConfigError, match="risk cannot waive 'sources'"):
        Waiver(("sources",), "rita", "a typing error")


@pytest.mark.parametrize(
    ("waiver", "words"),
    [
        (dataclasses.replace(WAIVER, by="bob"), "may not waive"),
        (dataclasses.replace(WAIVER, reason=" "), "names its gates"),
        (dataclasses.replace(WAIVER, controls=()), "names its gates"),
        (dataclasses.replace(WAIVER, controls=(Control.STRESS,)), "Deflated Sharpe ratio failed"),
    ],
)
def test_a_waiver_is_by_a_risk_officer_and_for_the_gate_that_failed(desk, waiver, words):
    desk.ladder.record_examination(candidate(), verdict(deflated_sharpe=0.5), "ann")
    climb(desk, Rung.BACKTEST)
    with pytest.raises(RiskError, match=words):
        climb(desk, Rung.REPLAY, waiver=waiver)


@pytest.mark.parametrize(
    "changes",
    [
        {"bars": REPLAY_BARS - 1},
        {"strategy_version": "another"},
        {"symbols": "ETHUSDT"},
        {"ended_ms": None},
        {"settings": json.dumps({"params": {"fast": "4", "slow": "20"}, "interval": "1h"})},
        {"settings": json.dumps({"params": {"fast": "3", "slow": "20"}, "interval": "4h"})},
        {"settings": "{}"},
    ],
)
def test_only_a_replay_of_exactly_this_candidate_counts(desk, changes):
    desk.ladder.record_examination(candidate(), verdict(), "ann")
    climb(desk, Rung.BACKTEST)
    climb(desk, Rung.REPLAY)
    add_run(desk, 1, **({"bars": REPLAY_BARS} | changes))
    with pytest.raises(RiskError, match="Replayed through the stream"):
        climb(desk, Rung.PAPER)


def test_paper_and_limited_live_are_measured_by_the_clock(desk):
    desk.ladder.record_examination(candidate(), verdict(), "ann")
    add_run(desk, 1, days=PAPER_DAYS / 2, bars=REPLAY_BARS)
    for rung in (Rung.BACKTEST, Rung.REPLAY, Rung.PAPER):
        climb(desk, rung)
    with pytest.raises(RiskError, match=r"5\.0 of 10 days"):
        climb(desk, Rung.LIVE_LIMITED)
    add_run(desk, 2, days=PAPER_DAYS / 2)  # beside the first, which makes the time no longer
    with pytest.raises(RiskError, match=r"5\.0 of 10 days"):
        climb(desk, Rung.LIVE_LIMITED)
    desk.clock.set_ms(desk.clock.now_ms() + int(PAPER_DAYS / 2 * DAY_MS))
    add_run(desk, 3, days=PAPER_DAYS / 2)
    climb(desk, Rung.LIVE_LIMITED)
    with pytest.raises(RiskError, match=r"0\.0 of 20 days"):
        climb(desk, Rung.LIVE)


def test_runs_on_spot_are_no_evidence_for_futures(desk):
    futures = dataclasses.replace(candidate(), market="um")
    subject = dataclasses.replace(verdict().subject, market="um")
    desk.ladder.record_examination(futures, dataclasses.replace(verdict(), subject=subject), "ann")
    add_run(desk, 1, days=PAPER_DAYS, bars=REPLAY_BARS)
    for rung in (Rung.BACKTEST, Rung.REPLAY):
        desk.ladder.promote(TREND, futures, rung, author="ann", authoriser="bob")
    with pytest.raises(RiskError, match="the stream trades spot, this is for um"):
        desk.ladder.promote(TREND, futures, Rung.PAPER, author="ann", authoriser="bob")


def test_an_author_who_is_a_risk_officer_does_not_waive_by_writing_the_name_otherwise(desk):
    desk.ladder.record_examination(candidate(), verdict(deflated_sharpe=0.5), "ann")
    climb(desk, Rung.BACKTEST)
    with pytest.raises(RiskError, match="may not waive"):
        climb(desk, Rung.REPLAY, author=" Rita ", waiver=WAIVER)


def test_the_pack_shows_the_history_and_the_trials_behind_the_verdict(desk):
    desk.ladder.record_examination(candidate(), verdict(), "ann")
    (examined,) = [one for one in desk.ladder.pack(TREND, candidate()).requirements if "luck" in one.name]
    assert examined.observed.endswith(
        "Examined from 1970-01-01 to 1970-01-02 among 100 trials, data version 7"
    )


@pytest.mark.parametrize(("scope", "target"), [("firm", ""), ("strategy", "trend"), ("symbol", "BTCUSDT")])
def test_a_kill_in_force_stops_the_climb(desk, scope, target):
    to_rung(desk, Rung.REPLAY)
    row = {"account": "paper", "scope": scope, "target": target, "actor": "x", "reason": "y", "latched_ns": 1}
    with desk.database.write() as connection:
        connection.execute(insert(kills).values(row))
    with pytest.raises(RiskError, match="No kill in force"):
        climb(desk, Rung.PAPER)
    with desk.database.write() as connection:
        connection.execute(update(kills).values(released_ns=2, released_by="z"))
    assert climb(desk, Rung.PAPER).rung is Rung.PAPER


def test_a_promotion_expires(desk):
    standing = to_rung(desk, Rung.PAPER)
    desk.clock.set_ms(standing.expires_ms)
    assert desk.ladder.standing(candidate()).rung is Rung.RESEARCH


@pytest.mark.parametrize(
    "changes",
    [{"code": "0" * 64}, {"config": "0" * 64}, {"symbol": "ETHUSDT"}, {"params": (("fast", 4.0),)}],
)
def test_any_change_starts_again_at_research(desk, changes):
    to_rung(desk, Rung.PAPER)
    desk.ladder.require(candidate(), Rung.PAPER)
    with pytest.raises(RiskError, match="stands at RESEARCH, PAPER is needed"):
        desk.ladder.require(candidate(**changes), Rung.PAPER)


def test_other_risk_limits_are_another_configuration():
    tighter = Settings(risk=RiskSettings(max_drawdown="0.1"))
    assert config_digest(tighter) != config_digest(Settings())


@pytest.mark.parametrize(
    "forgery",
    [{"rung": "LIVE"}, {"expires_ms": 2**50}, {"candidate": "0" * 64}, {"hash": "1" * 64}, {"record": "{}"}],
)
def test_a_forged_row_grants_nothing_and_is_named(desk, forgery):
    to_rung(desk, Rung.REPLAY)
    with desk.database.write() as connection:
        connection.execute(update(promotions).where(promotions.c.promotion_id == 2).values(forgery))
    with pytest.raises(StoreError, match=r"altered.*promotion 2"):
        desk.ladder.standing(candidate())
    with pytest.raises(StoreError, match="altered"):
        climb(desk, Rung.PAPER)


def test_a_verdict_on_something_else_is_not_taken(desk):
    with pytest.raises(RiskError, match="not made on this candidate"):
        desk.ladder.record_examination(candidate(symbol="ETHUSDT"), verdict(), "ann")
    with pytest.raises(RiskError, match="not made on this candidate"):
        desk.ladder.record_examination(candidate(code="0" * 64), verdict(), "ann")


def test_the_pack_is_json(desk):
    desk.ladder.record_examination(candidate(), verdict(), "ann")
    body = json.loads(json.dumps(desk.ladder.pack(TREND, candidate()).as_dict()))
    assert (body["standing"], body["to"], body["complete"]) == ("RESEARCH", "BACKTEST", True)
    assert body["candidate"]["digest"] == candidate().digest and body["data_version"] == 7


def test_what_the_stream_cannot_run_gets_no_further_than_replay(desk):
    cross = load_strategy("cross-momentum")
    market, symbol = place_of([(Market.SPOT, "ETHUSDT"), (Market.SPOT, "BTCUSDT")])
    many = candidate_of(
        cross, cross.params(), market=market, symbol=symbol, interval="1d", settings=Settings()
    )
    assert (many.market, many.symbol) == ("spot", "BTCUSDT+ETHUSDT")
    with desk.database.write() as connection:
        row = {"account": "paper", "scope": "symbol", "target": "ETHUSDT", "actor": "x", "reason": "y"}
        connection.execute(insert(kills).values(row | {"latched_ns": 1}))
    with desk.database.read() as connection:
        evidence = Evidence(cross, many, Proof(()), None, None, 0.0, find_dossier(desk.dossiers, "trend"))
        asked = {one.name: one for one in requirements_of(Rung.PAPER, evidence, connection)}
    assert "this is of kind allocator" in asked["Replayed through the stream"].observed
    assert not asked["No kill in force"].met  # a kill of any of its symbols


def test_a_place_names_markets_and_symbols_as_a_run_does():
    named = [(Market.UM, "BTCUSDT"), (Market.SPOT, "BTCUSDT")]
    assert place_of(named) == ("spot+um", "spot:BTCUSDT+um:BTCUSDT")
    assert place_of(named[:1]) == ("um", "BTCUSDT")


def at_paper(desk):
    to_rung(desk, Rung.PAPER)
    return {one.name: one for one in desk.ladder.pack(TREND, candidate()).requirements}


def test_live_trading_asks_for_a_complete_dossier_and_paper_does_not(desk):
    file = desk.dossiers / "trend.toml"
    file.unlink()
    asked = at_paper(desk)["Dossier"]
    assert not asked.met and asked.observed == "there is no dossier of trend"
    assert "qtm dossier trend --new" in asked.remedy and str(file) in asked.remedy
    file.write_text(FILLED.replace("the desk head", " "))
    with pytest.raises(RiskError, match="Dossier: not filled in: owner"):
        climb(desk, Rung.LIVE_LIMITED)
    fill_in(desk.dossiers)
    assert climb(desk, Rung.LIVE_LIMITED).rung is Rung.LIVE_LIMITED


def test_the_grant_names_the_dossier_it_was_made_on_by_hash_and_keeps_its_text(desk):
    standing = to_rung(desk, Rung.LIVE_LIMITED)
    written = (desk.dossiers / "trend.toml").read_bytes()
    assert standing.dossier == hashlib.sha256(written).hexdigest()
    paper, limited = desk.ladder.history(candidate())[-2:]
    assert limited["dossier"] == {"sha256": standing.dossier, "text": written.decode()}
    assert "dossier" not in paper
    with desk.database.write() as connection:
        forged = json.dumps(limited | {"dossier": {"sha256": "0" * 64, "text": ""}})
        connection.execute(update(promotions).where(promotions.c.promotion_id == 4).values(record=forged))
    with pytest.raises(StoreError, match="altered"):
        desk.ladder.standing(candidate())


def test_a_dossier_changed_after_the_grant_keeps_the_rung_shows_in_the_pack_and_is_bound_anew(desk):
    standing = to_rung(desk, Rung.LIVE_LIMITED)
    file = desk.dossiers / "trend.toml"
    file.write_text(FILLED.replace("the desk head", "somebody else"))
    assert desk.ladder.standing(candidate()).rung is Rung.LIVE_LIMITED
    desk.clock.set_ms(desk.clock.now_ms() + int(LIMITED_DAYS * DAY_MS))
    asked = {one.name: one for one in desk.ladder.pack(TREND, candidate()).requirements}["Dossier"]
    assert (
        asked.met
        and f"changed since the last grant, which was made on {standing.dossier[:12]}" in asked.observed
    )
    file.unlink()
    with pytest.raises(RiskError, match="there is no dossier of trend; changed since"):
        climb(desk, Rung.LIVE)
    file.write_text(FILLED.replace("the desk head", "somebody else"))
    assert climb(desk, Rung.LIVE).dossier == hashlib.sha256(file.read_bytes()).hexdigest() != standing.dossier


def test_a_grant_of_limited_live_keeps_its_caps_and_ends_with_its_days(desk):
    pack = desk.ladder.pack(TREND, candidate())
    assert pack.caps is None
    at_paper(desk)
    assert desk.ladder.pack(TREND, candidate()).caps == RULES.limited
    standing = climb(desk, Rung.LIVE_LIMITED)
    assert standing.caps == RULES.limited
    assert standing.expires_ms - standing.since_ms == RULES.limited.max_days * DAY_MS < 60 * DAY_MS
    looser = RULES.model_copy(update={"limited": LimitedSettings(max_order_value=10**6)})
    afterwards = Ladder(desk.database, looser, desk.dossiers, desk.clock)
    assert afterwards.standing(candidate()).caps == RULES.limited
    desk.clock.set_ms(standing.expires_ms)
    assert desk.ladder.standing(candidate()).rung is Rung.PAPER
    assert climb(desk, Rung.LIVE_LIMITED).since_ms == standing.expires_ms
