"""Run the benchmarks one after another, each in a process of its own, so that peak memory is its own.

    python -m benchmarks                 all of them
    python -m benchmarks w1 cvar         the named ones
    python -m benchmarks --list

Figures are medians on this machine; only ratios within one run mean anything elsewhere.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def subjects() -> dict[str, str]:
    """Every benchmark module with the first line of its docstring."""
    modules = sorted(path for path in FOLDER.glob("*.py") if not path.name.startswith("_"))
    docs = {path.stem: ast.get_docstring(ast.parse(path.read_text())) or "" for path in modules}
    return {name: doc.splitlines()[0] for name, doc in docs.items() if doc}


def main() -> int:
    """Run the chosen benchmarks; the exit code is that of the first one that failed, else 0."""
    known = subjects()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(known)}")
    parser.add_argument("--list", action="store_true", help="name the benchmarks and what they measure")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.names if name not in known]
    if unknown:
        parser.error(f"no benchmark named {unknown[0]!r}; there are {', '.join(known)}")
    if chosen.list:
        for name, line in known.items():
            print(f"{name:16} {line}")
        return 0
    worst = 0
    for name in chosen.names or known:
        print(f"\n== {name}: {known[name]}", flush=True)
        code = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode
        worst = worst or code
    return worst


if __name__ == "__main__":
    sys.exit(main())
