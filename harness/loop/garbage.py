"""The garbage collector during a measurement: out of the way, and swept between the cells."""

from __future__ import annotations

import gc

# The young are looked at after more allocations than by default, which takes well under a millisecond; everything only
# after fifty million. A full collection walks every object that lives, and stops the event loop for as long.
_THRESHOLDS = (5_000, 10, 1_000)


def hold_back() -> None:
    """Before load begins: what lives now is never looked at again, and full collections become rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


def sweep() -> None:
    """Between cells, when nothing is being measured: a full collection."""
    gc.collect()
