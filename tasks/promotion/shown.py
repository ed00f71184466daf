"""Decisions for people: one in full, and all of a workspace."""

from __future__ import annotations

from tasks.promotion.decide import Ruling
from tasks.promotion.history import IN_USE, History, models_of
from tasks.promotion.record import Decision
from tasks.reporting.tables import markdown_table, plain_table

__all__ = ["in_use", "listed", "ruled", "ruled_markdown"]


def ruled(ruling: Ruling) -> str:
    """One line."""
    decision = ruling.decision
    said = f"{decision.run}: {decision.action}. {decision.why}"
    return said if ruling.is_new else f"nothing to decide; as of {_when(decision)}: {said}"


def in_use(workspace: str, decision: Decision) -> str:
    """What a decision by hand has done."""
    instead = f" in place of {decision.before}" if decision.before else ""
    return f"{decision.action}: {decision.run}{instead}; load it from {models_of(workspace) / IN_USE}"


def listed(history: History) -> str:
    """Every decision, the newest first, the one that put today's model in use marked, and where that lies."""
    if not history.decisions:
        return f"nothing was ever put in use in {history.models.parent}; collap promote does it"
    where = "no model is in use"
    if history.in_use is not None:
        where = f"in use: {history.in_use}, as {history.models / IN_USE}"
    return f"{plain_table(_rows(history))}\n\n{where}"


def ruled_markdown(ruling: Ruling, history: History) -> str:
    """A page: what was decided on a run and why, its differences, and the decisions before."""
    decision = ruling.decision
    head = f"# {decision.run}: {decision.action}\n\n{decision.why}"
    if not ruling.is_new:
        head += f"\n\nDecided at {_when(decision)}; nothing has changed since."
    parts = [head]
    if decision.evidence is not None:
        evidence = decision.evidence
        against = decision.before or "chance"
        rows = [
            {
                "direction": direction.replace("_", " "),
                evidence.figure: f"{found.value:.3f} [{found.low:.3f} .. {found.high:.3f}]",
                f"less that of {against}": str(evidence.differences.get(direction, "not comparable")),
            }
            for direction, found in evidence.figures.items()
        ]
        asked = f"{evidence.num_texts} captions against {evidence.num_tracks} tracks of split {evidence.split}"
        parts += [f"{asked}; intervals are 95 %", markdown_table(rows)]
    parts += ["## Decisions", markdown_table(_rows(history)), f"In use: {history.in_use or 'none'}"]
    return "\n\n".join(parts)


def _rows(history: History) -> list[dict[str, str]]:
    newest = history.promotions[-1] if history.promotions else None
    return [
        {
            "in use": "*" if decision is newest else "",
            "when": _when(decision),
            "decision": decision.action,
            "run": decision.run,
            "before": decision.before or "-",
            "who": decision.who,
            "why": decision.why,
        }
        for decision in reversed(history.decisions)
    ]


def _when(decision: Decision) -> str:
    return f"{decision.at:%Y-%m-%d %H:%M:%S} UTC"
