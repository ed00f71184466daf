"""The embedded default captioner: true sentences from measured facts, without weights or network."""
