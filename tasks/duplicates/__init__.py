"""Which tracks are one recording, and which are among what models are measured on."""
