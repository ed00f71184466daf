"""BEATs (Chen et al. 2022), a port of our own: shape, network, checkpoints, encoder."""

from __future__ import annotations

from collap_model.encoders.beats.checkpoint import load_beats, save_beats
from collap_model.encoders.beats.config import BeatsConfig
from collap_model.encoders.beats.encoder import BeatsEncoder
from collap_model.encoders.beats.model import Beats

__all__ = ["Beats", "BeatsConfig", "BeatsEncoder", "load_beats", "save_beats"]
