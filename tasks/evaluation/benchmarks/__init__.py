"""Published benchmarks: their lists, their audio, and the workspace that a model is measured on."""
