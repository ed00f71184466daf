"""What the figures of an evaluation mean, as plain sentences; a measure is one of ``collap_model.metrics`` as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["ALONE", "CONTROLS", "ORDER", "curve_finding", "order_findings", "order_rows", "shown", "shuffled_finding"]

Values = Mapping[str, Any]

ORDER = {
    "text": "given the music, the caption with its sections in the true order wins over the one with two exchanged",
    "audio": "given the caption, the music in the true order wins over the one with the two sections exchanged",
    "group": "both, for the caption and for its exchanged twin",
}
ALONE = "guessed without listening"
"""``text_alone``. Every text is right once and wrong once, so the test is fair whatever this figure is."""
CONTROLS = {
    "text_only": "as text, every track replaced by the mean clip of all",
    "bag_of_words": "as text, with the words of every caption sorted",
}
"""Figures that lie at chance in any model by the construction of the test, unless the scores are broken."""


def shown(measure: Values) -> str:
    """A share with its 95 % interval: ``93 % [91 to 95]``."""
    return f"{100 * measure['value']:.0f} % [{100 * measure['low']:.0f} to {100 * measure['high']:.0f}]"


def order_rows(order: Values) -> Iterator[tuple[str, str, Values]]:
    """Name, meaning and measure: the three figures of the test, what is guessed without listening, the controls."""
    for name, meaning in ORDER.items():
        yield name, meaning, order[name]
    yield ALONE, "how often the caption in the true order wins with the mean clip of all", order["text_alone"]
    for name, meaning in CONTROLS.items():
        yield f"control: {name.replace('_', ' ')}", meaning, order["controls"][name]


def order_findings(order: Values) -> list[str]:
    """Whether the model tells the order of sections apart, by text and by music; whether the test itself is fair."""
    found = [_verdict(order["text"], "caption"), _verdict(order["audio"], "music")]
    found.append(
        f"Without listening the true order is guessed in {shown(order['text_alone'])}; the figures above are fair "
        "whatever this is, as every text is the right one once and the wrong one once."
    )
    broken = [f"{name} {shown(measure)}" for name, _, measure in order_rows(order) if _breaks(name, measure)]
    if broken:
        found.append(
            f"Not at chance: {'; '.join(broken)}. No model can do this in a fair test: the scores, or the two texts, "
            "are not what they should be, and the figures above cannot be trusted."
        )
    else:
        found.append("The controls lie at chance: the test is fair.")
    return found


def curve_finding(points: Sequence[Values], unit: str) -> str:
    """R@10 from text to track at the shortest point and at the longest.

    No verdict: both are of the same queries, and whether their own intervals overlap says nothing of the difference.
    """
    if len(points) < 2:
        return f"Nothing is longer than the shortest of the measured lengths, so there is no curve over {unit}."
    short, whole = points[0], points[-1]
    at_first, at_last = (point["text_to_track"]["recall_at_10"] for point in (short, whole))
    until = "all" if whole["kept"] is None else f"the first {whole['kept']}"
    return (
        f"From text to track R@10 is {shown(at_first)} with the first {short['kept']} {unit} and {shown(at_last)} with "
        f"{until}."
    )


def shuffled_finding(clock_free: Values, shuffled: Values) -> str:
    """What the order of sections is worth to retrieval."""
    plain = shown(clock_free["text_to_track"]["recall_at_10"])
    texts, tracks = (shown(shuffled[side]["text_to_track"]["recall_at_10"]) for side in ("text", "audio"))
    return (
        f"From text to track R@10 is {plain} with captions without times, {texts} with the sections of every caption "
        f"in a drawn order, and {tracks} with those of every track."
    )


def _verdict(measure: Values, side: str) -> str:
    chance = f"chance is {100 * measure['chance']:.0f} %"
    if measure["low"] > measure["chance"]:
        return f"By the {side} it tells the order of sections apart in {shown(measure)} of the exchanges; {chance}."
    if measure["high"] < measure["chance"]:
        return f"By the {side} it takes the exchanged sections for the true ones: right in {shown(measure)}; {chance}."
    return f"By the {side} it does not tell the order of sections apart: right in {shown(measure)}; {chance}."


def _breaks(name: str, measure: Values) -> bool:
    return name.startswith("control") and not measure["low"] <= measure["chance"] <= measure["high"]
