from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.image import imread

from data_specs.records import Structure
from tasks.reporting.attention import attention_picture
from tests.tasks.caption.songs import plain_song


@pytest.fixture
def structure() -> Structure:
    return plain_song()[1]


def moments(structure: Structure, peak: float) -> list[tuple[float, float, float]]:
    """Ten clips, the one at ``peak`` of the track ten times as heavy as the others."""
    edges_s = np.linspace(0, structure.duration_s, 11)
    weights = np.where(np.arange(10) == int(10 * peak), 10.0, 1.0)
    return list(zip(edges_s[:-1].tolist(), edges_s[1:].tolist(), (weights / weights.sum()).tolist(), strict=True))


def blue(png: bytes) -> np.ndarray:
    """How much of each column is drawn in the colour of weights."""
    image = imread(io.BytesIO(png))[..., :3]
    return (np.abs(image - (0.165, 0.435, 0.592)) < 0.05).all(-1).sum(0)


def test_weight_is_drawn_where_it_is(structure: Structure) -> None:
    columns = [blue(attention_picture(structure, {"drums": moments(structure, peak)})) for peak in (0.1, 0.8)]
    assert columns[0].argmax() < columns[1].argmax()
    assert all(column.max() > 5 * np.median(column[column > 0]) for column in columns)


def test_equal_input_gives_equal_bytes_and_every_text_has_a_panel(structure: Structure) -> None:
    heard = {"a $1 riff": moments(structure, 0.2), "bass " * 200: moments(structure, 0.5)}
    assert attention_picture(structure, heard) == attention_picture(structure, heard)
    heights = [imread(io.BytesIO(attention_picture(structure, dict(list(heard.items())[:n])))).shape[0] for n in (1, 2)]
    assert heights[1] - heights[0] == 140


def test_attention_of_another_track_is_refused(structure: Structure) -> None:
    longer = [*moments(structure, 0.2), (structure.duration_s, structure.duration_s + 9, 0.1)]
    with pytest.raises(ValueError, match=rf"ends at .* s, track {structure.track_id} at"):
        attention_picture(structure, {"drums": longer})
    with pytest.raises(ValueError, match="is empty"):
        attention_picture(structure, {"drums": []})
    with pytest.raises(ValueError, match="no text to draw"):
        attention_picture(structure, {})
