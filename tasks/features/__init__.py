"""Frozen encoders over accepted audio, once: one vector per second and track."""
