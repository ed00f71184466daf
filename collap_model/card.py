"""The model card: what a folder or a page of the hub says of a model before anyone loads it."""

from __future__ import annotations

from pathlib import Path

from collap_model.form import ModelForm
from collap_model.saved import CARD

__all__ = ["write_card"]

_CARD = """---
library_name: collap
pipeline_tag: feature-extraction
tags:
- music
- audio-text-retrieval
- collap
---

# CoLLAP: long-form music and long text in one space

A track is cut into clips of {clip_seconds} s, each a vector. How they combine into a score depends on the text: fusion
`{fusion}`. After CoLLAP (Wu et al., ICASSP 2025, arXiv 2410.02271).

| | |
|---|---|
{rows}

## Use

```python
from collap_model.model import CoLLAP

model = CoLLAP.from_pretrained("{name}"{weights})
tracks = model.embed_audio(["one.flac", "two.mp3"])
texts = model.embed_text("A slow piano opens; at 1:10 drums come in and the song turns to a bright chorus.")
print(model.score(texts, tracks))
print(model.attention_over_time(texts, tracks[0]))
```

## Encoders

The frozen encoders hear the track; their weights are not in this repository and have licences of their own. Weights of
another identity are refused.

| encoder | identity | width |
|---|---|---|
{encoders}
"""


def write_card(folder: Path, form: ModelForm) -> None:
    """Write ``README.md``; the name it loads is for its reader to fill in."""
    (folder / CARD).write_text(_card(form), encoding="utf-8")


def _card(form: ModelForm) -> str:
    names = [encoder.identity.split("-")[0] for encoder in form.encoders]
    rows = {
        "text tower": form.text_tower,
        "fusion": form.fusion,
        "joint width": form.dim,
        "clip": f"{form.clip_seconds} s",
        "heard in training": f"at most {form.max_track_seconds} s of a track",
    }
    places = ", ".join(
        f'"{name}": "{"FILE" if name == "beats" else "FOLDER OR HUB NAME"}"' for name in names if name != "spectral"
    )
    return _CARD.format(
        clip_seconds=form.clip_seconds,
        fusion=form.fusion,
        rows="\n".join(f"| {name} | {value} |" for name, value in rows.items()),
        name="FOLDER OR OWNER/NAME",
        weights=f", encoder_weights={{{places}}}" if places else "",
        encoders="\n".join(
            f"| {name} | `{encoder.identity}` | {encoder.dim} |"
            for name, encoder in zip(names, form.encoders, strict=True)
        ),
    )
