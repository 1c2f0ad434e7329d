"""When the event loop pauses before it waits."""

from __future__ import annotations

import pytest

from harness.loop.moderation import pause_s


@pytest.mark.parametrize(
    ("reads", "ended", "pauses"),
    [
        (0, 0, False),
        (50, 0, False),  # 2 500 reads a second
        (200, 1, True),  # streams
        (200, 100, False),  # short replies: a pause would make the next request late
        (1000, 1000, True),  # so much of anything that batches are worth it
    ],
)
def test_only_streams_and_floods_are_read_in_batches(reads: int, ended: int, pauses: bool) -> None:  # noqa: FBT001
    assert (pause_s(reads, ended) > 0) is pauses
