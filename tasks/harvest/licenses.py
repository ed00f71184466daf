"""Which licences a dataset takes."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

NOT_STATED = "not stated"
"""Stands for a track whose source names no licence, in patterns and in tables."""


def is_allowed(license: str | None, patterns: Sequence[str]) -> bool:
    """Whether a licence matches one of the shell patterns, whatever the case; without patterns all do."""
    stated = (license or NOT_STATED).casefold()
    return not patterns or any(fnmatchcase(stated, pattern.casefold()) for pattern in patterns)


def license_refusal(license: str | None, patterns: Sequence[str]) -> str | None:
    """Why a licence is not taken, for people; None where it is."""
    if is_allowed(license, patterns):
        return None
    stated = f"licence '{license}'" if license else f"licence {NOT_STATED}"
    return f"{stated}: harvest.licenses takes " + ", ".join(f"'{pattern}'" for pattern in patterns)
