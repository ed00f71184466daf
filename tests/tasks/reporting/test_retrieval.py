from __future__ import annotations

from typing import Any

from tasks.reporting.retrieval import interval_rows

FIGURES = "recall_at_1 recall_at_5 recall_at_10 median_rank mean_rank mrr map_at_10 ndcg_at_10".split()


def direction(value: float, tie_rate: float) -> dict[str, Any]:
    measure = {"value": value, "low": value / 2, "high": 2 * value, "chance": value / 4}
    return {**dict.fromkeys(FIGURES, measure), "tie_rate": tie_rate}


def test_every_figure_stands_with_its_interval_beside_chance_both_ways() -> None:
    heads, rows = interval_rows({"text_to_track": direction(0.4, 0.0), "track_to_text": direction(0.2, 0.125)})
    assert heads == ["", "text to track", "95 %", "chance", "track to text", "95 %", "chance"]
    assert rows[0] == ["R@1 %", "40.0", "20.0 to 80.0", "10.0", "20.0", "10.0 to 40.0", "5.0"]
    assert rows[5] == ["MRR", "0.400", "0.200 to 0.800", "0.100", "0.200", "0.100 to 0.400", "0.050"]
    assert rows[-1] == ["ties %", "0.0", "", "", "12.5", "", ""]
    assert all(len(row) == len(heads) for row in rows)
