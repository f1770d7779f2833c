"""Writes the corpus of `tests/corpus`: what apps send, and what has to be found in it."""
