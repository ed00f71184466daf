"""The caption dashboard: whether a dataset's captions are good enough to train on.

parts -> statistics (tallies, texts, diversity) -> checks -> page, audit sample, markdown
"""
