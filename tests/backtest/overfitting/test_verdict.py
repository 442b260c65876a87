"""Gates open only for what was measured inside their bounds, and a verdict survives JSON."""

import json
import math

import pytest

from qtm.backtest.overfitting.verdict import BOUNDS, Control, Gate, Subject, Verdict, verdict_of
from qtm.errors import RiskError

SUBJECT = Subject("spot", "BTCUSDT", ("BTCUSDT",), "1h", 0, 1, 3, "trend", "abc", {"fast": 5.0}, 100)
GOOD = {
    Control.DEFLATED_SHARPE: 0.97,
    Control.OVERFITTING: 0.1,
    Control.SUPERIOR_ABILITY: 0.01,
    Control.DOUBLED_COSTS: 0.2,
    Control.NEIGHBOURS_EARN: 1.0,
    Control.NEIGHBOURS_KEEP: 0.9,
    Control.STRESS: 0.1,
}


def verdict(**changes):
    values = GOOD | {Control(name): value for name, value in changes.items()}
    return Verdict(SUBJECT, tuple(Gate(c, values[c], BOUNDS[c], "words") for c in Control))


@pytest.mark.parametrize(
    ("control", "inside", "outside"),
    [
        ("deflated_sharpe", 0.95, 0.9499),
        ("overfitting_probability", 0.2, 0.2001),
        ("superior_ability", 0.10, 0.1001),
        ("doubled_costs", 0.01, -0.01),
        ("neighbours_earn", 0.8, 0.79),
        ("neighbours_keep", 0.5, 0.49),
        ("stress", 0.25, 0.2501),
    ],
)
def test_each_gate_closes_just_outside_its_bound(control, inside, outside):
    assert verdict(**{control: inside}).passed
    failing = verdict(**{control: outside})
    assert not failing.passed and [gate.control for gate in failing.failed] == [control]


@pytest.mark.parametrize("unknown", [None, math.nan])
def test_what_was_not_measured_is_not_passed(unknown):
    failing = verdict(overfitting_probability=unknown)
    assert not failing.passed
    assert failing.as_dict()["gates"][1]["measured"] is None
    assert failing.summary == "trend fails 1 of 7 gates: Probability of overfitting."


def test_a_verdict_survives_json():
    before = verdict(stress=None)
    assert verdict_of(json.loads(json.dumps(before.as_dict()))) == before
    assert verdict().summary == "trend passes all 7 gates."


def test_a_forged_outcome_is_worked_out_again():
    body = verdict(deflated_sharpe=0.1).as_dict()
    body["passed"] = body["gates"][0]["passed"] = True
    assert not verdict_of(body).passed


def test_a_missing_gate_is_refused():
    body = verdict().as_dict()
    body["gates"].pop()
    with pytest.raises(RiskError, match="every gate once"):
        verdict_of(body)
    with pytest.raises(RiskError, match="cannot be read"):
        verdict_of({"subject": {}})
