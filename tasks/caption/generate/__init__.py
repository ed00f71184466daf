"""Asking a Music-LLM: requests, answers, and the two ways to a model (a server, a process of our own)."""
