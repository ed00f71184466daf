"""Variants: sections of one letter whose music returns audibly changed, A and A′.

The same notes may come back louder, with drums, or in another key; letters follow the music, the
number of the variant follows how it is played.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from data_specs.records import Section
from tasks.structure.changes import changes_between

CLEARLY = 0.8
"""Confidence from which a change makes another form of the same music."""


def variants(sections: Sequence[Section]) -> tuple[int, ...]:
    """Number of the form in which each section's letter is heard, in order of appearance: 0 for the first.

    A section has the form of the first earlier one of its letter that it does not clearly differ from.
    """
    heard: dict[str, list[Section]] = defaultdict(list)
    numbers = []
    for section in sections:
        forms = heard[section.letter]
        number = next((place for place, form in enumerate(forms) if not _differs(form, section)), len(forms))
        if number == len(forms):
            forms.append(section)
        numbers.append(number)
    return tuple(numbers)


def _differs(form: Section, section: Section) -> bool:
    return any(change.confidence >= CLEARLY for change in changes_between(form, section))
