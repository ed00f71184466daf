"""Captions that others wrote: read, put on this track's clock, mended and judged like any other."""
