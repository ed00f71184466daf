from __future__ import annotations

import pytest
from pydantic import ValidationError

from tasks.promotion.rule import Interval, PromotionRule, judge

ABOVE = Interval(value=0.2, low=0.1, high=0.3)
AROUND = Interval(value=0.0, low=-0.1, high=0.1)
TOUCHING = Interval(value=0.1, low=0.0, high=0.2)
BELOW = Interval(value=-0.2, low=-0.3, high=-0.1)


@pytest.mark.parametrize(
    ("text", "track", "better", "why"),
    [
        (ABOVE, ABOVE, True, "better; "),
        (ABOVE, AROUND, True, "better; "),
        (ABOVE, BELOW, False, "track to text is worse; "),
        (AROUND, ABOVE, False, "text to track is not better beyond the interval; "),
        (TOUCHING, ABOVE, False, "text to track is not better beyond the interval; "),
        (BELOW, ABOVE, False, "text to track is worse; "),
    ],
)
def test_better_is_above_in_one_direction_and_not_below_in_the_other(
    text: Interval, track: Interval, better: bool, why: str
) -> None:
    verdict = judge({"text_to_track": text, "track_to_text": track}, PromotionRule(figure="mrr"), "run-a")
    assert verdict.better is better
    assert verdict.why.startswith(why)
    assert f"mrr less that of run-a: text to track {text}, track to text {track}" in verdict.why


def test_a_figure_whose_less_is_better_is_refused() -> None:
    with pytest.raises(ValidationError, match="figure"):
        PromotionRule(figure="mean_rank")  # type: ignore[arg-type]
