"""Which tracks: from a source to a fixed, ordered list cut into partitions."""

from __future__ import annotations

from tasks.select.selection import Selection, select

__all__ = ["Selection", "select"]
