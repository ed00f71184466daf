"""What ``caption_statistics`` counts of outcomes and sections: batches of rows in, fields of the result out."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_specs.records import LABELS
from tasks.caption.validate import ANSWER_FLAWS, RULES
from tasks.reporting.captions.distribution import distribution

Key = TypeVar("Key")

NUM_POSITIONS = 10
UNIFORM = 0.15
"""Variation of section lengths below which a track looks sliced: FUTGA's demos have .05 to .21, people .38."""
MIN_SECTIONS = 3
"""Fewer sections have no variation worth the name."""
TOP_VALUES = 20
OTHERS = "others"
_PLACED = re.compile(r"(refill|rules):.*")
"""Repairs that say where: ``refill:3``, ``rules:global``."""
_ATTRIBUTES = ("genres", "moods", "instruments", "vocals", "tempo_word", "production")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Captions that were made in one way."""

    captioner: str
    model: str | None
    prompt: str | None
    version: int
    settings: str
    captions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRate:
    """How first answers fared with one rule, see ``tasks.caption.validate.RULES`` and ``ANSWER_FLAWS``."""

    rule: str
    """Its name, or ``OTHERS``."""
    what: str
    """What it asks for, or the fault it names."""
    broken: int
    pass_rate: float


class OutcomeTally:
    """What came of the tracks: reasons, flaws, repairs, provenance, attributes."""

    def __init__(self) -> None:
        self._tracks = self._written = self._accepted = self._repaired = self._refills = 0
        self._reasons: Counter[str] = Counter()
        self._flaws: Counter[str] = Counter()
        self._rejected_by: Counter[str] = Counter()
        self._repairs: Counter[str] = Counter()
        self._warnings: Counter[str] = Counter()
        self._provenance: Counter[tuple[str, str | None, str | None, int, str]] = Counter()
        self._attributes: dict[str, Counter[str]] = {name: Counter() for name in _ATTRIBUTES}

    def add(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Count a batch of all rows; returns its accepted ones."""
        accepted = batch.filter(pc.equal(batch["status"], "ok"))
        written = batch.filter(pc.not_equal(batch["status"], "failed"))
        self._tracks += len(batch)
        self._written += len(written)
        self._accepted += len(accepted)
        self._reasons.update(batch["reason"].drop_null().to_pylist())
        rejections = written.filter(pc.equal(written["status"], "rejected"))["detail"].to_pylist()
        self._rejected_by.update(rule for detail in rejections if (rule := detail.partition(":")[0]) in RULES)
        self._flaws.update(flaw for flaws in written["flaws"].to_pylist() for flaw in set(flaws))
        self._warnings.update(warning for warnings in written["warnings"].to_pylist() for warning in set(warnings))
        for repairs in written["repairs"].to_pylist():
            kinds = [_PLACED.sub(r"\1", repair) for repair in repairs]
            self._repairs.update(set(kinds))
            self._repaired += bool(kinds)
            self._refills += kinds.count("refill")
        columns = [accepted[name].to_pylist() for name in ("captioner", "model", "prompt", "version", "settings")]
        self._provenance.update(zip(*columns, strict=True))
        for attributes in accepted["attributes"].to_pylist():
            for name in _ATTRIBUTES:
                said = attributes[name] if isinstance(attributes[name], list) else [attributes[name]]
                self._attributes[name].update({value for value in said if value})
        return accepted

    def result(self) -> dict[str, Any]:
        return {
            "tracks": self._tracks,
            "written": self._written,
            "accepted": self._accepted,
            "reasons": ranked(self._reasons),
            "provenance": tuple(Provenance(*key, captions=count) for key, count in ranked(self._provenance).items()),
            "rules": tuple(self._rates()),
            "rejected_by": ranked(self._rejected_by),
            "repaired": self._repaired,
            "repairs": ranked(self._repairs, TOP_VALUES),
            "warnings": ranked(self._warnings, TOP_VALUES),
            "refills": self._refills,
            "attributes": {name: ranked(counts, TOP_VALUES) for name, counts in self._attributes.items()},
        }

    def _rates(self) -> Iterator[RuleRate]:
        known = ANSWER_FLAWS | {name: rule.what for name, rule in RULES.items()}
        for name, what in known.items():
            yield self._rate(name, what, self._flaws[name])
        # A flaw that another version of the rules named would be lost in a loop over these.
        others = sum(count for name, count in self._flaws.items() if name not in known)
        if others:
            yield self._rate(OTHERS, "rules of other versions", others)

    def _rate(self, rule: str, what: str, broken: int) -> RuleRate:
        return RuleRate(rule=rule, what=what, broken=broken, pass_rate=round(1 - share(broken, self._written), 6))


class SectionTally:
    """The sections of accepted captions, as columns."""

    def __init__(self) -> None:
        self._per_track = array("d")
        self._seconds = array("d")
        self._variation = array("d")
        self._num_letters = array("d")
        self._returning = 0
        self._letters: Counter[str] = Counter()
        self._writers: Counter[str] = Counter()
        self._labels: dict[str, np.ndarray] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        sections = batch["sections"].flatten()
        starts_S = sections.field("start_s").to_numpy(zero_copy_only=False)
        ends_S = sections.field("end_s").to_numpy(zero_copy_only=False)
        letters = sections.field("letter").to_pylist()
        durations_S = np.empty(len(starts_S))
        first = 0
        for count in pc.list_value_length(batch["sections"]).to_pylist():
            of_track = slice(first, first + count)
            first += count
            durations_S[of_track] = ends_S[of_track].max(initial=0.0)
            self._add_track(ends_S[of_track] - starts_S[of_track], letters[of_track])
        self._seconds.extend(ends_S - starts_S)
        self._writers.update(sections.field("writer").to_pylist())
        self._add_labels(np.array(sections.field("label").to_pylist(), str), starts_S, ends_S, durations_S)

    def _add_track(self, lengths_S: np.ndarray, letters: Sequence[str]) -> None:
        self._per_track.append(len(lengths_S))
        if len(lengths_S) >= MIN_SECTIONS:
            self._variation.append(lengths_S.std() / max(lengths_S.mean(), 1e-9))
        known = [letter for letter in letters if letter]  # sections of the captioner's own may have none
        self._letters.update(known)
        if known:
            self._num_letters.append(len(set(known)))
            self._returning += len(set(known)) < len(known)

    def _add_labels(
        self, labels_S: np.ndarray, starts_S: np.ndarray, ends_S: np.ndarray, durations_S: np.ndarray
    ) -> None:
        """Seconds over the track's length, per label and tenth of the track."""
        edges_P = np.arange(NUM_POSITIONS + 1) / NUM_POSITIONS
        starts_S, ends_S = starts_S / np.maximum(durations_S, 1e-9), ends_S / np.maximum(durations_S, 1e-9)
        inside_SP = np.minimum(ends_S[:, None], edges_P[1:]) - np.maximum(starts_S[:, None], edges_P[:-1])
        inside_SP = inside_SP.clip(0.0)
        for label in np.unique(labels_S):
            known = self._labels.setdefault(str(label), np.zeros(NUM_POSITIONS))
            known += inside_SP[labels_S == label].sum(0)

    def result(self) -> dict[str, Any]:
        whole_P = sum(self._labels.values(), np.zeros(NUM_POSITIONS))
        # An unknown label is a fault of an import; it must not end the report.
        labels = [*LABELS, *sorted(self._labels.keys() - set(LABELS))]
        return {
            "section_seconds": distribution(self._seconds, 4.0, 24),
            "sections_per_track": distribution(self._per_track, 1.0, 24),
            "section_variation": distribution(self._variation, 0.05, 24),
            "uniform_share": share(sum(value < UNIFORM for value in self._variation), len(self._variation)),
            "labels_by_position": {
                label: tuple(round(float(x), 4) for x in self._labels[label] / np.maximum(whole_P, 1e-9))
                for label in labels
                if label in self._labels
            },
            "letters": dict(sorted(self._letters.items())),
            "letters_per_track": distribution(self._num_letters, 1.0, 12),
            "returning_share": share(self._returning, len(self._num_letters)),
            "writers": ranked(self._writers),
        }


def ranked(counts: Counter[Key], most: int | None = None) -> dict[Key, int]:
    """Most frequent first, equal ones in the order of their names."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:most])


def share(part: float, whole: float) -> float:
    return round(part / whole, 6) if whole else 0.0
