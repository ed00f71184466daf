"""Features of clips: made by frozen encoders once, kept one vector per second, read by training."""
