"""Every `qtm` command shown in README and docs parses: no command, option or argument is invented."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from qtm.cli.main import build_app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHOWN = re.compile(r"^\$ qtm (?P<words>.+)$", re.MULTILINE)


def shown_commands() -> list[tuple[str, str]]:
    """Pairs of page and command line, continuation lines joined."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        found += [(str(page.relative_to(ROOT)), match["words"]) for match in SHOWN.finditer(text)]
    return found


@pytest.mark.parametrize(("page", "words"), shown_commands())
def test_a_shown_command_exists_with_its_options(page: str, words: str) -> None:
    command: Any = typer.main.get_command(build_app())
    arguments = shlex.split(words.split(" | ")[0], comments=True)
    context = command.make_context("qtm", arguments)
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, arguments = command.resolve_command(context, rest)
        context = command.make_context(name, arguments, parent=context)


def test_the_pages_show_commands_at_all() -> None:
    assert len(shown_commands()) > 10
