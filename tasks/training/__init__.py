"""Launching a training run in processes of its own."""
