"""From measured facts to words: ``Structure`` and ``AudioFacts`` in, a validated ``Caption`` out."""
