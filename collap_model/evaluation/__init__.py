"""Measuring a trained model: scores in tiles, what belongs together, zero-shot and linear probe."""
