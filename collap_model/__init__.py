"""CoLLAP as a torch library: frontends, encoders, fusion, score, loss, model, trainer, retrieval.

Imports no Prefect and no other package of this project than ``data_specs``.
"""

from __future__ import annotations

from collap_model import _torchaudio

_torchaudio.install()
