"""What stands in Redis of a run whose journals are shipped.

- `tokenswarm:RUN:journal`, a stream of {worker, journal, offset, data}: whole lines from byte `offset` of a journal.
  `journal` is the identity of the file, so that two journals of workers with one name are never spliced.
- `tokenswarm:RUN:sent`, a hash, WORKER:JOURNAL -> up to which byte it was put into the stream; written with the entry.
- `tokenswarm:RUN:acked`, a hash, WORKER:JOURNAL -> "SIZE ASKS": how much stands in the copy, and a count that
  rises when bytes beyond SIZE were sent and lost. It is written again every second.
"""

from __future__ import annotations

from dataclasses import dataclass

TTL_S = 7 * 24 * 3600


@dataclass(frozen=True)
class Keys:
    """The names in Redis of one run."""

    journal: str
    sent: str
    acked: str


def keys_of(run: str) -> Keys:
    """The names in Redis of a run."""
    return Keys(*(f"tokenswarm:{run}:{part}" for part in ("journal", "sent", "acked")))
