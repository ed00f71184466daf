"""The training loop and what it is made of: batches, loss, optimiser, checkpoints, logs."""
