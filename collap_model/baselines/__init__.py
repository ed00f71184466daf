"""Published models that score what a CoLLAP scores: the same texts, the same tracks, the same metrics."""
