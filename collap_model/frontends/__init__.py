"""From samples to what encoders hear: Kaldi's filter bank (BEATs) and Whisper's log-mel, in torch, in batches."""
