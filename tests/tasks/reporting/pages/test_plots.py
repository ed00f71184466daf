from __future__ import annotations

import math
import re

import pytest

from tasks.reporting.pages.plots import Line, interval_bar, line_chart, line_legend, round_top, series
from tests.tasks.reporting.pages.reader import Reader

TICKS = [(0.0, "0"), (100.0, "100")]
SHARES = [(0.0, "0%"), (1.0, "100%")]


def drawn(line: Line, top: float = 1.0) -> list[tuple[float, float]]:
    """The points of the curve in per cent of the plot."""
    chart = line_chart([line], "a curve", x_ticks=TICKS, top=top, y_ticks=SHARES)
    Reader(chart)
    (points,) = re.findall(r'<polyline class="\w+" points="([^"]*)"', chart)
    return [tuple(map(float, pair.split(","))) for pair in points.split()]


def test_points_lie_where_their_numbers_say() -> None:
    first, middle, last = drawn(Line(name="a", points=[(0.0, 0.0), (50.0, 1.0), (100.0, 0.25)]), top=2.0)
    assert middle[0] == pytest.approx((first[0] + last[0]) / 2)
    assert [y for _, y in (first, middle, last)] == [100.0, 50.0, 87.5]


def test_what_is_not_finite_is_left_out_and_what_is_beyond_the_top_is_cut() -> None:
    points = drawn(Line(name="a", points=[(0.0, math.nan), (50.0, 3.0), (100.0, math.inf)]))
    assert [y for _, y in points] == [0.0]


def test_a_band_encloses_its_curve() -> None:
    line = Line(name="a", points=[(0.0, 0.5), (100.0, 0.6)], band=[(0.4, 0.7), (0.5, 0.8)])
    chart = line_chart([line], "a curve", x_ticks=TICKS, top=1.0, y_ticks=SHARES)
    (outline,) = re.findall(r'<polygon class="s0" points="([^"]*)"', chart)
    ys = [float(pair.split(",")[1]) for pair in outline.split()]
    assert ys == pytest.approx([60.0, 50.0, 20.0, 30.0])  # low from left to right, high back again


def test_chance_has_neither_points_nor_a_colour_of_its_own() -> None:
    chance = Line(name="<chance>", points=[(0.0, 0.1), (100.0, 0.1)], is_bound=True)
    chart = line_chart([chance], "chance", x_ticks=TICKS, top=1.0, y_ticks=SHARES)
    assert "<circle" not in chart
    assert '<polyline class="bound"' in chart
    assert "&lt;chance&gt;" in line_legend([chance])
    assert 'class="broken"' in line_legend([chance])


def test_an_interval_bar_shows_value_interval_and_chance() -> None:
    bar = interval_bar(0.93, 0.9, 1.2, 0.5)
    assert 'class="bar" y="3" width="93.00%"' in bar
    assert 'class="whisker" x1="90.00%" x2="100.00%"' in bar
    assert 'class="bound" x1="50.00%" x2="50.00%"' in bar


@pytest.mark.parametrize(
    ("highest", "top"), [(0.0, 1.0), (0.09, 0.1), (1.0, 1.0), (1.1, 2.0), (2.2, 2.5), (4.12, 5.0), (7.0, 10.0)]
)
def test_a_top_is_round_and_nothing_exceeds_it(highest: float, top: float) -> None:
    assert round_top(highest) == pytest.approx(top)


def test_colours_go_round() -> None:
    assert len({series(index) for index in range(100)}) == 8
