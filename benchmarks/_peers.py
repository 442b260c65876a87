"""Peers in environments of their own under `bench_files`: the project does not depend on them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path("bench_files")
PACKAGES = ("vectorbt==1.2.0", "vectorbt-rust==1.2.0")
ORDER_PACKAGES = ("hftbacktest==2.4.4", "nautilus-trader==1.221.0", "pandas<3")
"""Peers that trade orders, in an environment beside the first: they need other versions."""
PORTFOLIO_PACKAGES = ("skfolio==1.12.2", "riskfolio-lib==7.4.0", "PyPortfolioOpt==1.6.0", "highspy>=1.15.1")
"""Peers that optimise portfolios."""


def peer_python(name: str = "peers", packages: tuple[str, ...] = PACKAGES) -> Path | None:
    """The peers' interpreter, installed on first use; None (with the reason printed) when that fails."""
    home = FOLDER / name
    python = home / "bin" / "python"
    ready = home / ".ready"
    if ready.is_file() and ready.read_text() == " ".join(packages):
        return python
    print(f"installing the peers into {home} ...", file=sys.stderr)
    uv = shutil.which("uv") or next((str(p) for p in [Path(".tools/bin/uv")] if p.is_file()), None)
    steps = (
        [[uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(home)],
         [uv, "pip", "install", "--quiet", "--python", str(python), *packages]]
        if uv
        else [[sys.executable, "-m", "venv", "--clear", str(home)],
              [str(python), "-m", "pip", "install", "--quiet", *packages]]
    )  # fmt: skip
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"the peers cannot be installed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
            return None
    ready.write_text(" ".join(packages))
    return python


def run_order_peer(script: str, *arguments: str) -> list[dict[str, Any]]:
    """`run_peer` in the environment of the peers that trade orders."""
    python = peer_python("peers-orders", ORDER_PACKAGES)
    return [] if python is None else run_peer(script, *arguments, python=python)


def run_peer(script: str, *arguments: str, python: Path | None = None) -> list[dict[str, Any]]:
    """Run a peer's script in its environment; one JSON object per line of its output."""
    python = python or peer_python()
    if python is None:
        return []
    path = Path(__file__).parent / script
    done = subprocess.run([str(python), str(path), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{script} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
