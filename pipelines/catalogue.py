"""The reference of all assets as markdown: `python -m pipelines.catalogue > docs/reference/assets.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import dagster as dg

from pipelines.definitions import defs

_HEAD = """\
# Assets

Written by `python -m pipelines.catalogue > docs/reference/assets.md`; a test keeps it true.

*Cut by* says what one partition is. A **bold** check is blocking: when it fails, nothing downstream of the
asset runs in that run.
"""


def catalogue() -> str:
    """One table per group, then every check with its meaning, then jobs, schedules and sensors."""
    graph = defs.resolve_asset_graph()
    parts = [_HEAD]
    groups = sorted({graph.get(key).group_name for key in graph.materializable_asset_keys})
    for group in groups:
        parts += [f"\n## Group `{group}`\n", "| asset | cut by | made from | days a run | what it is |"]
        parts += ["|:--|:--|:--|:--|:--|", *_rows(graph, group)]
    parts += ["\n## Checks\n", "| asset | check | what holds when it passes |", "|:--|:--|:--|", *_checks()]
    parts += ["\n## Jobs, schedules, sensors\n", "| name | kind | what it does |", "|:--|:--|:--|", *_work()]
    return "\n".join(parts) + "\n"


def _rows(graph: dg.AssetGraph, group: str) -> Iterator[str]:
    for key in sorted(graph.materializable_asset_keys):
        asset = graph.get(key)
        if asset.group_name != group:
            continue
        made_from = ", ".join(f"`{parent.to_user_string()}`" for parent in sorted(asset.parent_keys))
        policy = asset.backfill_policy
        days = "" if policy is None else str(policy.max_partitions_per_run or "any")
        words = " ".join(str(asset.description).split())
        yield f"| `{key.to_user_string()}` | {_cut(asset.partitions_def)} | {made_from} | {days} | {words} |"


def _cut(partitions: dg.PartitionsDefinition | None) -> str:
    if partitions is None:
        return ""
    return "day" if isinstance(partitions, dg.TimeWindowPartitionsDefinition) else "strategy"


def _checks() -> Iterator[str]:
    specs = [spec for asset in defs.assets or [] for spec in asset.check_specs]
    for spec in sorted(specs, key=lambda one: (one.asset_key, not one.blocking, one.name)):
        name = f"**`{spec.name}`**" if spec.blocking else f"`{spec.name}`"
        yield f"| `{spec.asset_key.to_user_string()}` | {name} | {spec.description} |"


def _work() -> Iterator[str]:
    for kind, found in (("job", defs.jobs), ("schedule", defs.schedules), ("sensor", defs.sensors)):
        for one in found or []:
            yield f"| `{one.name}` | {kind} | {' '.join(str(one.description).split())} |"


if __name__ == "__main__":
    sys.stdout.write(catalogue())
