"""A dossier is complete or says by name what is missing; a template never replaces what somebody wrote."""

import hashlib
import os

import pytest

from qtm.control.dossier import MOST_BYTES, find_dossier, write_template
from qtm.errors import ConfigError
from tests.control.support import FILLED, fill_in

FIELDS = ("purpose", "owner", "inputs", "data_sources", "kill_behaviour")


def test_a_filled_in_dossier_is_complete_and_known_by_its_hash(tmp_path):
    path = fill_in(tmp_path)
    found = find_dossier(tmp_path, "trend")
    assert found.complete and found.problem is None
    assert found.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.as_dict()["says"]["failure_modes"][0]["answer"] == "the owner stops it"


def test_a_template_is_read_back_with_every_field_named_as_open(tmp_path):
    write_template(tmp_path, "trend")
    found = find_dossier(tmp_path, "trend")
    modes = [f"failure_modes[1].{name}" for name in ("what", "noticed_by", "answer")]
    assert not found.complete
    assert found.problem.what == f"not filled in: {', '.join([*FIELDS, *modes])}"


def test_a_template_overwrites_nothing(tmp_path):
    path = fill_in(tmp_path)
    with pytest.raises(ConfigError, match="already"):
        write_template(tmp_path, "trend")
    assert path.read_text() == FILLED


@pytest.mark.parametrize(
    ("written", "wrong", "words"),
    [
        ("the desk head", "  ", "not filled in: owner"),
        ('["closed bars of one symbol"]', '["bars", " "]', "not filled in: inputs"),
        ('answer = "the owner stops it"', "", "not filled in: failure_modes[1].answer"),
        (FILLED[FILLED.index("[[fail") :], "", "not filled in: failure_modes"),
        ('strategy = "trend"', 'strategy = "momentum"', "the dossier is about 'momentum', not 'trend'"),
        ("purpose =", "aim =", "dossier field aim: Extra inputs"),
        ('"the desk head"', "7", "dossier field owner: Input should be a valid string"),
        ('"the desk head"', "", "the dossier is no TOML"),
    ],
)
def test_what_is_missing_or_wrong_is_named(tmp_path, written, wrong, words):
    assert written in FILLED
    fill_in(tmp_path).write_text(FILLED.replace(written, wrong))
    found = find_dossier(tmp_path, "trend")
    assert not found.complete and found.problem.what.startswith(words)
    assert found.problem.where == str(tmp_path / "trend.toml") and found.problem.remedy


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ("[" * 5_000 + "]" * 5_000, "the dossier is no TOML: maximum recursion"),
        ("9" * 6_000, "the dossier is no TOML: Exceeds the limit"),
        (f'["{"x" * MOST_BYTES}"]', "the dossier has 1,000,"),
    ],
)
def test_what_no_person_wrote_is_refused_in_words(tmp_path, inputs, words):
    fill_in(tmp_path).write_text(FILLED.replace('["closed bars of one symbol"]', inputs))
    assert find_dossier(tmp_path, "trend").problem.what.startswith(words)


def test_a_pipe_in_its_place_is_no_dossier_to_wait_for(tmp_path):
    os.mkfifo(tmp_path / "trend.toml")
    assert find_dossier(tmp_path, "trend").problem.what == "the dossier is no file"


def test_a_byte_order_mark_before_the_text_is_no_fault(tmp_path):
    path = fill_in(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert find_dossier(tmp_path, "trend").complete


def test_a_dossier_that_cannot_be_read_is_not_complete(tmp_path):
    assert "there is no dossier" in find_dossier(tmp_path, "trend").problem.what
    (tmp_path / "trend.toml").write_bytes(b"\xff\xfe")
    assert "no UTF-8" in find_dossier(tmp_path, "trend").problem.what
    (tmp_path / "trend.toml").unlink()
    (tmp_path / "trend.toml").mkdir()
    found = find_dossier(tmp_path, "trend")
    assert not found.complete and "cannot be read" in found.problem.what
