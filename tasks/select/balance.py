"""Balance over labels: no label is the only reason for more than N tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class Balance:
    """A bound on the tracks per label.

    ``label_sets`` are the distinct sets of labels, ``set_of_row_N`` says which of them a track has.
    """

    max_per_label: int
    label_sets: Sequence[tuple[str, ...]]
    set_of_row_N: NDArray[np.int32]

    def take(self, order: NDArray[np.intp]) -> NDArray[np.intp]:
        """The rows of ``order`` that are taken, in that order.

        A track is taken while at least one of its labels was taken fewer than ``max_per_label``
        times. Full labels close the sets that have no other label, and blocks of rows lose those
        of closed sets at once, so that a long list costs little more than what is taken from it.
        """
        sets_with = self._sets_with_label()
        num_open = np.array([len(labels) for labels in self.label_sets])
        taken = dict.fromkeys(sets_with, 0)
        kept: list[int] = []
        for start in range(0, len(order), _BLOCK_ROWS):
            block = order[start : start + _BLOCK_ROWS]
            block = block[num_open[self.set_of_row_N[block]] > 0]
            for row, label_set in zip(block.tolist(), self.set_of_row_N[block].tolist(), strict=True):
                if not num_open[label_set]:  # closed within this block
                    continue
                kept.append(row)
                for label in self.label_sets[label_set]:
                    taken[label] += 1
                    if taken[label] == self.max_per_label:
                        num_open[sets_with[label]] -= 1
        return np.array(kept, dtype=np.intp)

    def _sets_with_label(self) -> dict[str, list[int]]:
        sets_with: dict[str, list[int]] = {}
        for number, labels in enumerate(self.label_sets):
            for label in labels:
                sets_with.setdefault(label, []).append(number)
        return sets_with
