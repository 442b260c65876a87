"""What a stream did, as a table for whoever sits at the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def print_table(summary: dict[str, Any]) -> None:
    """Print what `Session.finish` answers."""
    table = Table(title=f"Stream {summary['run_id']}", show_header=False)
    rows = {
        "state": summary["state"],
        "bars": summary["bars"],
        "signals": summary["signals"],
        **{f"orders {name}": count for name, count in summary["orders"].items()},
        "fills": summary["fills"],
        "equity": f"{summary['equity']} {summary['quote']}",
        **{f"position {symbol}": qty for symbol, qty in summary["positions"].items()},
        **{f"bar to order, {name}": f"{value:.0f} us" for name, value in summary["tick_to_order_us"].items()},
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    Console().print(table)
