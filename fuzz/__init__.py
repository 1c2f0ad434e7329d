"""Fuzzing: each surface that takes bytes from outside, as a function that must neither fail, nor hang, nor grow."""
