"""Push and pull against a server on the loopback; the real hub, and its xet transfer, are not reached here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from collap_model.model import CoLLAP
from tests.collap_model.hub_server import serving
from tests.collap_model.models import CAPTIONS, model

CODE = """
import sys
from collap_model.model import CoLLAP

here, there = sys.argv[1:]
try:
    CoLLAP.from_pretrained("me/songs")
except ValueError as error:
    print("refused:", error)
print("pushed:", CoLLAP.from_pretrained(here).push_to_hub("me/songs", private=True))
CoLLAP.from_pretrained("me/songs").save_pretrained(there)
"""
"""In a process of its own: huggingface_hub reads its environment once."""


def test_a_model_pushed_to_a_hub_comes_back_the_same(tmp_path: Path) -> None:
    made = model(
        encoders=[{"identity": "beats-1-abc", "dim": 6}],
        features={"encoders": [{"encoder": "beats", "weights": "/home/me/beats.pt"}]},
    )
    here, there = tmp_path / "here", tmp_path / "there"
    made.save_pretrained(here)
    with serving() as hub:
        settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
        done = subprocess.run(
            [sys.executable, "-c", CODE, str(here), str(there)],
            env={**os.environ, **settings, "HF_TOKEN": "hf_secret"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "refused: no folder 'me/songs', and the hub does not give it" in done.stdout
    assert f"pushed: {hub.url}/me/songs/commit/" in done.stdout
    assert hub.tokens == {"Bearer hf_secret"}
    (created,) = hub.created
    assert (created["organization"], created["name"]) == ("me", "songs")
    assert created.get("private") or created["visibility"] == "private"
    assert {"README.md", "config.json", "model.safetensors", "text/config.json"} <= hub.files.keys()
    assert not [name for name, content in hub.files.items() if b"/home/me" in content]
    assert (there / "model.safetensors").read_bytes() == (here / "model.safetensors").read_bytes()
    again = CoLLAP.from_pretrained(there)
    assert torch.equal(again.embed_text(CAPTIONS).text_ID, made.embed_text(CAPTIONS).text_ID)
