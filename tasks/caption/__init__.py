"""From measured facts to words: ``Structure`` and ``AudioFacts`` in, a validated ``Caption`` out."""

from __future__ import annotations

from tasks.caption.captioner import Captioner, build_captioner, caption_track
from tasks.caption.validate import Violation, count_violations, validate_caption

__all__ = ["Captioner", "Violation", "build_captioner", "caption_track", "count_violations", "validate_caption"]
