from __future__ import annotations

from tasks.engine.parts import PartInfo
from tasks.reporting.funnel import funnel, funnel_cells
from tasks.reporting.pictures import loss_curve
from tasks.reporting.retrieval import retrieval_cells
from tasks.reporting.tables import markdown_table, plain_table


def part(stage: str, partition: str, num_new: int, **counts: int) -> PartInfo:
    return PartInfo(stage=stage, partition=partition, key="k", path="p", identity="i", counts=counts, num_new=num_new)


def test_the_funnel_adds_up_over_partitions() -> None:
    parts = {
        "a": {"harvest": part("harvest", "a", 3, ok=2, removed=1), "audio": part("audio", "a", 0, ok=2)},
        "b": {"harvest": part("harvest", "b", 2, ok=1, network=1), "audio": part("audio", "b", 1, silent=1)},
    }
    rows = funnel(["harvest", "audio"], parts, num_selected=5)
    assert [(row.stage, row.num_in, row.num_ok, row.num_new) for row in rows] == [
        ("select", 5, 5, 0),
        ("harvest", 5, 3, 5),
        ("audio", 3, 2, 1),
    ]
    assert rows[1].reasons == {"removed": 1, "network": 1}
    assert funnel_cells(rows)[2]["why"] == "silent 1"


def test_tables() -> None:
    rows = [{"name": "a|b", "count": "7"}, {"name": "c", "count": "12"}]
    assert plain_table(rows) == "name  count\n----  -----\na|b       7\nc        12"
    assert markdown_table(rows) == "| name | count |\n| --- | ---: |\n| a\\|b | 7 |\n| c | 12 |"
    assert plain_table([]) == markdown_table([]) == "(none)"


def measure(value: float, chance: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "chance": chance}


def test_retrieval_rows_have_chance_first_and_an_interval() -> None:
    names = ("recall_at_1", "recall_at_5", "recall_at_10", "median_rank", "mean_rank", "mrr", "map_at_10", "ndcg_at_10")
    metrics = {name: measure(0.5, 0.1) for name in names} | {"tie_rate": 0.25}
    cells = retrieval_cells({"run": {"metrics": {"text_to_track": metrics, "track_to_text": metrics}}})
    assert [(row["direction"], row["run"], row["R@10"]) for row in cells] == [
        ("text to track", "chance", "10.0"),
        ("text to track", "run", "50.0"),
        ("track to text", "chance", "10.0"),
        ("track to text", "run", "50.0"),
    ]
    assert (cells[1]["R@10 95 %"], cells[1]["nDCG@10"], cells[1]["ties %"]) == ("40 to 60", "0.500", "25")
    assert cells[0]["mean rank"] == "0.1"


def test_loss_curve_is_a_picture() -> None:
    assert loss_curve([{"step": 1, "loss": 4.0, "accuracy": 0.1}]).startswith(b"\x89PNG")
