"""Entry point of `qtm`: assembles the command groups; a `QtmError` becomes one message and an exit code."""

from __future__ import annotations

import bdb
import errno
import sys

import typer

from qtm.cli import (
    capacity,
    compare,
    compiling,
    demo,
    doctor,
    dossier,
    honesty,
    ingest,
    lake,
    live,
    paper,
    portfolio,
    promote,
    quality,
    research,
    risk,
    size,
    slippage,
    stress,
    sweep,
)
from qtm.errors import QtmError, StoreError

_GROUPS = (
    demo,
    ingest,
    quality,
    lake,
    research,
    sweep,
    compare,
    slippage,
    capacity,
    honesty,
    promote,
    dossier,
    portfolio,
    risk,
    stress,
    size,
    paper,
    live,
    compiling,
    doctor,
)


def build_app() -> typer.Typer:
    """The command line with every group registered."""
    app = typer.Typer(
        name="qtm",
        help="Quantum Trading Matrix: from history to a risk-gated paper or live order.",
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for group in _GROUPS:
        group.register(app)
    return app


def main() -> None:
    """Run the command line; failures the user can act on end in one line on stderr, never a traceback."""
    try:
        with compiling.compiling_shown():
            build_app()()
    except QtmError as error:
        _fail(error)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT):
            raise
        _fail(
            StoreError(
                error.strerror or str(error),
                where=str(error.filename or "disk"),
                remedy="free or unlock the disk, or point QTM_HOME at another one",
            )
        )
    except bdb.BdbQuit:
        sys.stderr.write("qtm: left the debugger; nothing was finished\n")
        sys.exit(130)
    except KeyboardInterrupt:
        sys.stderr.write("\nqtm: interrupted\n")
        sys.exit(130)


def _fail(error: QtmError) -> None:
    sys.stderr.write(f"qtm: {error}\n")
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
