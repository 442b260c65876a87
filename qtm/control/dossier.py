"""The strategy dossier: what only a person can say about a strategy, one typed TOML file for each (TD-01).

The platform's own records (`qtm.control.on_record`) hold the rest: code, parameters, limits, proofs, verdict,
waivers, runs and promotions are never typed. A dossier that is not complete, or cannot be read, keeps its
strategy from live trading; the SHA-256 of the file and its text go into the record of the grant.
"""

from __future__ import annotations

import hashlib
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from qtm.errors import ConfigError, StoreError

MOST_BYTES = 1_000_000
"""A dossier is a few pages, and its text goes into the record of a grant."""

TEMPLATE = """\
# The dossier of the strategy {strategy}: what only a person can say about it.
# `qtm dossier {strategy}` shows it beside what the platform has on record. Every field must be filled in
# before `qtm promote` grants LIVE_LIMITED.

strategy = "{strategy}"

# Why it is traded: whose mistake or need pays for it, and on what horizon.
purpose = ""

# Who answers for it, reachable when it trades.
owner = ""

# Everything its decisions depend on, one line each: bars, parameters, models and what they were trained on.
inputs = []

# Where those come from, one line each: venue, archive, vendor, file.
data_sources = []

# What is left behind when it is killed, and what the person on duty does with positions and open orders.
kill_behaviour = ""

# How it fails. Repeat the section for every way.
[[failure_modes]]
# What goes wrong.
what = ""
# By which figure, limit or alarm somebody notices.
noticed_by = ""
# What is done then, and by whom.
answer = ""
"""


class FailureMode(BaseModel):
    """One way the strategy fails, how somebody notices, and what is done then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: str = ""
    noticed_by: str = ""
    answer: str = ""


class Dossier(BaseModel):
    """A dossier as written; `TEMPLATE` says what belongs into each field."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: str = ""
    purpose: str = ""
    owner: str = ""
    inputs: tuple[str, ...] = ()
    data_sources: tuple[str, ...] = ()
    kill_behaviour: str = ""
    failure_modes: tuple[FailureMode, ...] = ()

    @property
    def unfilled(self) -> tuple[str, ...]:
        """The fields that say nothing, by name."""
        modes = {
            f"failure_modes[{number}].{name}": value
            for number, mode in enumerate(self.failure_modes, start=1)
            for name, value in mode
        }
        said = {name: value for name, value in self if name != "failure_modes"}
        return tuple(
            name
            for name, value in {**said, "failure_modes": self.failure_modes, **modes}.items()
            if not _says_something(value)
        )


@dataclass(frozen=True, slots=True)
class DossierFile:
    """The dossier of a strategy as it lies on disk.

    Attributes
    ----------
    dossier
        What it says; None when it cannot be read as a dossier.
    text, digest
        The file's content and its SHA-256 in hex; empty when there is none.
    problem
        What keeps it from being complete; None when nothing does.
    """

    path: Path
    dossier: Dossier | None
    text: str = ""
    digest: str = ""
    problem: ConfigError | None = None

    @property
    def complete(self) -> bool:
        """It can be read, is about its strategy, and leaves nothing open."""
        return self.dossier is not None and self.problem is None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "file": str(self.path),
            "sha256": self.digest or None,
            "complete": self.complete,
            "problem": None if self.problem is None else str(self.problem),
            "says": None if self.dossier is None else self.dossier.model_dump(mode="json"),
        }


def dossier_path(folder: Path, strategy: str) -> Path:
    """Where the dossier of a strategy lies, bundled or the user's own."""
    return folder / f"{strategy}.toml"


def find_dossier(folder: Path, strategy: str) -> DossierFile:
    """The dossier of a strategy as it is now; whatever is wrong with it is its `problem`."""
    path = dossier_path(folder, strategy)
    try:
        raw = _content(path)
    except FileNotFoundError:
        return DossierFile(path, None, problem=_missing(path, strategy))
    except OSError as error:
        failed = ConfigError(f"the dossier cannot be read: {error.strerror}", where=str(path))
        return DossierFile(path, None, problem=failed)
    except ConfigError as refused:
        return DossierFile(path, None, problem=refused)
    digest = hashlib.sha256(raw).hexdigest()
    try:
        text = raw.decode()
        dossier = _parsed(text, path)
    except UnicodeDecodeError:
        failed = ConfigError("the dossier is no UTF-8 text", where=str(path), remedy="save it as UTF-8")
        return DossierFile(path, None, digest=digest, problem=failed)
    except ConfigError as failed:
        return DossierFile(path, None, text, digest, failed)
    return DossierFile(path, dossier, text, digest, _open_points(dossier, path, strategy))


def write_template(folder: Path, strategy: str) -> Path:
    """Write a dossier to fill in; returns its path.

    Raises
    ------
    ConfigError
        When there is one already: nothing is overwritten.
    StoreError
        When the folder cannot be written.
    """
    path = dossier_path(folder, strategy)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE.format(strategy=strategy))
    except FileExistsError:
        raise ConfigError(
            f"there is a dossier of {strategy} already",
            where=str(path),
            remedy="edit it, or move it away first; nothing was overwritten",
        ) from None
    except OSError as error:
        raise StoreError(f"the dossier cannot be written: {error.strerror}", where=str(path)) from error
    return path


def _says_something(value: object) -> bool:
    if isinstance(value, tuple):
        return bool(value) and all(map(_says_something, value))
    return not isinstance(value, str) or bool(value.strip())


def _content(path: Path) -> bytes:
    """The bytes of a file of text: a grant waits inside a transaction until they are read, and keeps them."""
    found = path.stat()
    if stat.S_ISREG(found.st_mode) and found.st_size > MOST_BYTES:
        raise ConfigError(
            f"the dossier has {found.st_size:,} bytes, {MOST_BYTES:,} are the most",
            where=str(path),
            remedy="say it in fewer words, and keep papers elsewhere",
        )
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise ConfigError("the dossier is no file", where=str(path), remedy="put the text itself there")
    with path.open("rb") as file:
        return file.read(MOST_BYTES)


def _missing(path: Path, strategy: str) -> ConfigError:
    return ConfigError(
        f"there is no dossier of {strategy}",
        where=str(path),
        remedy=f"`qtm dossier {strategy} --new` writes one to fill in",
    )


def _parsed(text: str, path: Path) -> Dossier:
    try:
        said = tomllib.loads(text.removeprefix("\ufeff"))  # as editors on Windows begin a file
    except (ValueError, RecursionError) as error:  # TOML errors, and numbers or nesting beyond all measure
        raise ConfigError(
            f"the dossier is no TOML: {error}", where=str(path), remedy="mend that line"
        ) from None
    try:
        return Dossier.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"dossier field {name}: {first['msg']}",
            where=str(path),
            remedy=f"a dossier has the fields {', '.join(Dossier.model_fields)}",
        ) from None


def _open_points(dossier: Dossier, path: Path, strategy: str) -> ConfigError | None:
    if dossier.unfilled:
        return ConfigError(
            f"not filled in: {', '.join(dossier.unfilled)}", where=str(path), remedy="fill them in"
        )
    if dossier.strategy != strategy:
        return ConfigError(
            f"the dossier is about {dossier.strategy!r}, not {strategy!r}",
            where=str(path),
            remedy="a dossier is written for one strategy",
        )
    return None
