"""How the clips of a track combine into one score against a text: one file per fusion.

``mean`` and ``max`` are ablations without parameters, ``attention`` is the paper's, ``token`` is late
interaction after ColBERT, and ``ordered`` is ours. All but ``mean`` run in the tiles of ``tiles.py``.
"""
