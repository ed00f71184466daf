"""The rules of ``tasks.caption.validate``, by what they look at."""
