"""The funnel: how many tracks entered each stage, how many left it, and why the others did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.engine.parts import PartInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelRow:
    """One stage over all partitions."""

    stage: str
    num_in: int
    num_ok: int
    reasons: dict[str, int]
    num_new: int
    """Rows computed in this run."""
    seconds: float
    """Wall time of this run, summed over partitions that may have run side by side."""


def funnel(stages: Sequence[str], parts: Mapping[str, Mapping[str, PartInfo]], num_selected: int) -> list[FunnelRow]:
    """Rows in stage order, ``select`` first."""
    rows = [FunnelRow(stage="select", num_in=num_selected, num_ok=num_selected, reasons={}, num_new=0, seconds=0.0)]
    for stage in stages:
        infos = [of_partition[stage] for of_partition in parts.values()]
        counts: Counter[str] = Counter()
        for info in infos:
            counts.update(info.counts)
        num_ok = counts.pop("ok", 0)
        rows.append(
            FunnelRow(
                stage=stage,
                num_in=num_ok + counts.total(),
                num_ok=num_ok,
                reasons=dict(counts.most_common()),
                num_new=sum(info.num_new for info in infos),
                seconds=round(sum(info.seconds for info in infos), 2),
            )
        )
    return rows


def funnel_cells(rows: Sequence[FunnelRow]) -> list[dict[str, str]]:
    """The funnel as text cells, for a terminal, Markdown or a table in the UI."""
    return [
        {
            "stage": row.stage,
            "in": str(row.num_in),
            "ok": str(row.num_ok),
            "dropped": str(row.num_in - row.num_ok),
            "new": str(row.num_new),
            "why": ", ".join(f"{reason} {count}" for reason, count in row.reasons.items()),
        }
        for row in rows
    ]
