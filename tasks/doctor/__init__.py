"""``collap doctor``: what would keep a build from working, found before it begins and without the Internet.

    NetworkSettings, DatasetSpec, workspace -> doctor -> list[Finding] -> report -> text

``programs`` looks at what is installed, ``access`` at identities and options, ``machine`` at disk and
clock, ``model`` at the Music-LLM.
"""

from __future__ import annotations

from pathlib import Path

from data_specs.network import NetworkSettings
from data_specs.serving import ServingSettings
from data_specs.spec import DatasetSpec
from tasks.doctor.access import access_findings
from tasks.doctor.finding import Finding
from tasks.doctor.machine import machine_findings
from tasks.doctor.model import model_findings
from tasks.doctor.programs import program_findings
from tasks.reporting.tables import plain_table

__all__ = ["Finding", "doctor", "report"]


def doctor(
    network: NetworkSettings, serving: ServingSettings, spec: DatasetSpec | None, workspace: Path | None
) -> list[Finding]:
    """Look at everything; without a spec and a workspace what depends on them is left out."""
    model = model_findings(spec.caption, serving) if spec is not None else ()
    return [*program_findings(network), *access_findings(network), *machine_findings(spec, workspace), *model]


def report(findings: list[Finding]) -> str:
    """A table of text, the worst last, where a terminal ends."""
    order = ("ok", "warning", "problem")
    lines = sorted(findings, key=lambda finding: order.index(finding.level))
    return plain_table([{"level": f.level, "what": f.name, "finding": f.text} for f in lines])
