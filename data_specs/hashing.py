"""Names for content: short SHA-256 digests of canonical JSON."""

from __future__ import annotations

import hashlib
import json
from typing import Any

DIGEST_CHARACTERS = 16
"""64 bits: among 10 million names the chance of any collision is 3e-6."""


def digest(*values: Any) -> str:
    """A name for the values: equal for equal plain data, whatever the order of mapping keys.

    Raises:
        TypeError: a value is not plain data (JSON).
        ValueError: a number is NaN or infinite, which equals nothing and so names nothing.
    """
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARACTERS]


def file_sha256(path: str) -> str:
    """The hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
