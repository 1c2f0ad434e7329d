"""Bytes of a streamed reply -> events, one file a framing; `harness/sse.py` is the one that most dialects use."""
