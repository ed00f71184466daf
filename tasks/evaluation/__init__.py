"""Launching retrieval evaluation of trained runs."""
