"""A strategy's dossier as a document: what a person wrote, and what the platform has on record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from qtm.control.dossier import DossierFile
from qtm.control.on_record import OnRecord
from qtm.reports.blocks import Block, Cell, Document, Paragraph, Section, Table, definitions, paragraph, table
from qtm.reports.verdict_section import verdict_section

_SAID = {
    "purpose": "Purpose",
    "owner": "Owner",
    "inputs": "Inputs",
    "data_sources": "Data sources",
    "kill_behaviour": "When it is killed",
}


def dossier_document(dossier: DossierFile, known: OnRecord) -> Document:
    """The whole dossier; `page` shows it as HTML, the command line as tables."""
    candidate = known.candidate
    chosen = ", ".join(f"{name}={value:g}" for name, value in candidate.params)
    return Document(
        f"Dossier of {candidate.strategy}",
        f"{known.strategy.summary} {chosen} on {candidate.market} {candidate.symbol} {candidate.interval}",
        [
            _said(dossier, known),
            _identity(known),
            _limits(known),
            _proofs(known),
            verdict_section(known.verdict),
            _promotions(known),
            _runs(known),
            _kills(known),
        ],
        lineage=f"candidate {candidate.digest[:12]}",
    )


def text_blocks(document: Document) -> Iterator[tuple[Section, list[Table | Paragraph]]]:
    """The sections of a dossier with their tables and paragraphs, for a terminal."""
    for section in document.sections:
        yield section, [block for block in section.blocks if isinstance(block, Table | Paragraph)]


def _said(file: DossierFile, known: OnRecord) -> Section:
    blocks: list[Block] = []
    if file.problem is not None:
        blocks.append(paragraph(f"Not complete: {file.problem}", "bad"))
    granted = known.standing.dossier
    if granted is not None and granted != file.digest:
        changed = f"Changed since the grant of {known.standing.rung}, which was made on {granted[:12]}."
        blocks.append(paragraph(changed, "warn"))
    if file.dossier is not None:
        said = file.dossier.model_dump()
        blocks.append(definitions({title: _words(said[name]) for name, title in _SAID.items()}))
        modes = [(mode.what, mode.noticed_by, mode.answer) for mode in file.dossier.failure_modes]
        blocks.append(table(("Fails by", "Noticed by", "What is done"), modes, text_columns=3))
    sha = f", SHA-256 {file.digest}" if file.digest else ""
    return Section("Written by a person", blocks, f"{file.path}{sha}")


def _words(said: str | tuple[str, ...]) -> str:
    return said if isinstance(said, str) else "; ".join(said)


def _identity(known: OnRecord) -> Section:
    candidate, standing = known.candidate, known.standing
    body = known.as_dict()
    until = f", until {body['expires']}" if body["expires"] else ""
    return Section(
        "What it is",
        [
            definitions(
                {
                    "Kind": known.strategy.kind,
                    "Source": str(known.strategy.source),
                    "Code, SHA-256": candidate.code,
                    "Parameters": ", ".join(f"{name}={value:g}" for name, value in candidate.params),
                    "Traded on": f"{candidate.market} {candidate.symbol}, {candidate.interval} bars",
                    "Candidate, SHA-256": candidate.digest,
                    "Stands at": f"{standing.rung}{until}",
                }
            )
        ],
    )


def _limits(known: OnRecord) -> Section:
    rows = [
        (
            symbol,
            name,
            "the venue's, read when a run starts" if one["value"] is None else one["value"],
            one["set_by"],
        )
        for symbol, found in known.as_dict()["limits"].items()
        for name, one in found.items()
        if name != "version"
    ]
    caps = [(name, str(value)) for name, value in known.caps]
    versions = sorted({found.version for found in known.limits.values()})
    return Section(
        "Limits in force",
        [
            table(("Symbol", "Limit", "Value", "Set by"), rows, text_columns=4),
            table(("Cap at LIVE_LIMITED (TD-07)", ""), caps),
        ],
        f"Limits {', '.join(versions)}",
    )


def _proofs(known: OnRecord) -> Section:
    rows = [
        (one.name, Cell("passed", "good") if one.passed else Cell("failed", "bad"), one.observed)
        for one in known.proof.findings
    ]
    return Section("Cannot see the future", [table(("Proof", "", "Seen"), rows, text_columns=3)])


def _promotions(known: OnRecord) -> Section:
    rows = [
        (
            one["rung"],
            one["granted"],
            one["expires"],
            one["author"],
            one["authoriser"],
            _waived(one["waiver"]),
            (one["dossier"] or "")[:12],
        )
        for one in known.grants
    ]
    heads = ("Rung", "Granted", "Expires", "Author", "Authoriser", "Waived", "Dossier")
    return _listed("Promotions and waivers", heads, rows)


def _waived(waiver: dict[str, Any] | None) -> str:
    if waiver is None:
        return ""
    return f"{', '.join(waiver['controls'])} by {waiver['by']}: {waiver['reason']}"


def _runs(known: OnRecord) -> Section:
    rows = [
        (
            one["run_id"][:8],
            one["account"],
            one["state"],
            one["started"],
            one["ended"] or "",
            "" if one["bars"] is None else f"{one['bars']:,}",
            "" if one["fills"] is None else f"{one['fills']:,}",
        )
        for one in known.runs
    ]
    return _listed("Runs", ("Run", "Account", "State", "From", "To", "Bars", "Fills"), rows)


def _kills(known: OnRecord) -> Section:
    rows = [
        (
            f"{one['scope']} {one['target']}".strip(),
            one["latched"],
            one["actor"],
            one["reason"],
            "in force" if one["released"] is None else f"{one['released']} by {one['released_by']}",
        )
        for one in known.kills
    ]
    return _listed("Kills", ("Scope", "Latched", "By", "Reason", "Released"), rows)


def _listed(title: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Section:
    shown: Block = table(heads, rows, text_columns=len(heads)) if rows else paragraph("none", "muted")
    return Section(title, [shown])
