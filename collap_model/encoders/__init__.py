"""Frozen audio encoders behind one protocol: one vector per second of a track. One encoder, one file."""
