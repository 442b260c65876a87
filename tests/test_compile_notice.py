"""Whoever waits for the compiler is told once: a listener, or else the person at a prompt."""

from __future__ import annotations

import sys

import pytest

from qtm.compile_notice import announce, told_of_compiling


def test_a_notebook_is_told_once_where_nobody_else_listens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "ps1", "In : ", raising=False)
    heard: list[str] = []
    with told_of_compiling(heard.append):
        announce("one for the listener")
    announce("one for the prompt")
    announce("one for the prompt")
    assert heard == ["one for the listener"]
    assert capsys.readouterr().err == "compiling one for the prompt, once: a few seconds\n"


def test_a_script_is_told_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(sys, "ps1", raising=False)
    announce("something nobody waits for")
    assert capsys.readouterr().err == ""
