from __future__ import annotations

import pytest

from tasks.reporting.runs.findings import curve_finding, order_findings, shown, shuffled_finding
from tests.tasks.reporting.runs.made import both_ways, order, probes, share


def test_a_share_is_shown_with_its_interval() -> None:
    assert shown(share(0.93)) == "93 % [91 to 95]"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.93, "By the caption it tells the order of sections apart in 93 % [91 to 95] of the exchanges;"),
        (0.51, "By the caption it does not tell the order of sections apart: right in 51 % [49 to 53];"),
        (0.40, "By the caption it takes the exchanged sections for the true ones: right in 40 % [38 to 42];"),
    ],
)
def test_order_is_told_apart_only_where_the_interval_lies_above_chance(value: float, said: str) -> None:
    text, audio, controls = order_findings(order(value))
    assert text == f"{said} chance is 50 %."
    assert audio == text.replace("caption", "music")
    assert controls == "The controls lie at chance, as they must."


def test_a_control_off_chance_is_named() -> None:
    *_, controls = order_findings(order(0.93, text_alone=0.6))
    assert "control: text alone 60 % [58 to 62]" in controls
    assert "bag of words" not in controls
    assert "less than they seem" in controls


def test_a_curve_says_whether_its_ends_lie_apart() -> None:
    found = probes()
    said = curve_finding(found["tokens"], "tokens")
    assert said == (
        "From text to track R@10 is 20 % [18 to 22] with the first 16 tokens and 80 % [78 to 82] with all; "
        "the intervals lie apart."
    )
    assert "the intervals overlap" in curve_finding(found["seconds"], "seconds")
    assert "no curve over tokens" in curve_finding(found["tokens"][-1:], "tokens")


def test_shuffled_sections_stand_beside_captions_without_times() -> None:
    said = shuffled_finding(both_ways(0.7), {"audio": both_ways(0.55), "text": both_ways(0.5)})
    assert "70 % [68 to 72] with captions without times, 50 % [48 to 52] with the sections of every caption" in said
    assert said.endswith("55 % [53 to 57] with those of every track.")
