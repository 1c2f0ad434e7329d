"""Jobs of a batch endpoint: which prompts they have, and how far each has come at any time. Pure: time is an argument.

When a job is created it is known when each of its prompts will be answered: a provider has so many workers for all of
its jobs, and each takes the next prompt when it is free.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Sequence
from dataclasses import dataclass

from harness.simulator.config import Fault, FaultKind, Provider
from harness.simulator.draws import Draws
from harness.simulator.faults import REFUSALS
from harness.simulator.load import Load
from harness.simulator.refusals import Cause, Denied
from harness.simulator.response import Request, first_s, gaps_s, reply_to
from harness.simulator.speech import Refused, Reply, Speaker

_MOST_KEPT = 500  # jobs, and files; the oldest are forgotten


@dataclass(frozen=True, slots=True)
class Item:
    """One prompt of a job: how long a worker has to do with it, and its reply as a body; or why there is none."""

    key: str
    takes_s: float = 0.0
    reply: Reply | None = None
    body: bytes = b""
    cause: Cause | None = None
    message: str = ""
    fault: FaultKind | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job, its prompts in the order in which they were sent. `due_s`: when each is answered. `invalid`: why it was
    not begun."""

    id: str
    created: int  # seconds since 1970
    items: tuple[Item, ...]
    due_s: tuple[float, ...]
    invalid: str | None = None

    @property
    def end_s(self) -> float:
        """When the last prompt is answered."""
        return max(self.due_s, default=0.0)

    def done(self, now_s: float) -> list[Item]:
        """The prompts that are answered, in the order in which they were."""
        order = sorted(range(len(self.items)), key=self.due_s.__getitem__)
        return [self.items[index] for index in order if self.due_s[index] <= now_s]


def item_of(
    key: str,
    body: bytes,
    query: dict[str, str],
    speaker: Speaker,
    provider: Provider,
    draws: Draws,
    number: int,
    load: Load,
    fault: Fault | None,
) -> Item:
    """What becomes of one prompt: what the provider would do with it by itself at its present load, faster by
    `batch_speed`. Whatever fault strikes it, it is an error of that prompt."""
    try:
        asked = speaker.read(body, {"method": "generateContent", **query})
    except Refused as refused:
        return Item(key, cause="bad_request", message=str(refused))
    reply = reply_to(asked, f"{number:08d}", provider, draws, number)
    idle_s = first_s(reply, provider, draws) * load.first_factor + gaps_s(reply, draws.gap_s) * load.gap_factor
    takes_s = idle_s * draws.pace / provider.batch_speed
    if fault is not None:
        cause = REFUSALS.get(fault.kind, "server_error")
        return Item(key, takes_s, cause=cause, message=f"Simulated fault: {fault.kind}.", fault=fault.kind)
    return Item(key, takes_s, reply, speaker.whole(reply))


class Jobs:
    """The jobs and files of one provider, and its workers for them."""

    def __init__(self, workers: int) -> None:
        self._free_s = [0.0] * workers
        self._jobs: dict[str, Job] = {}
        self.files: dict[str, bytes] = {}

    def create(self, job_id: str, items: Sequence[Item], request: Request) -> Job:
        """A job that begins when its request was received, or when a worker is free."""
        begin_s = request.received_ns * 1e-9
        due_s: list[float] = []
        for item in items:
            due_s.append(max(begin_s, self._free_s[0]) + item.takes_s)
            heapq.heapreplace(self._free_s, due_s[-1])
        invalid = None if items else "The file holds no prompts that can be read."
        job = self._jobs[job_id.rpartition("/")[2]] = Job(job_id, int(time.time()), tuple(items), tuple(due_s), invalid)
        _forget_oldest(self._jobs)
        return job

    def keep(self, file_id: str, data: bytes) -> None:
        """Keep a file that was uploaded."""
        self.files[file_id] = data
        _forget_oldest(self.files)

    def find(self, job_id: str) -> Job:
        """The job of that name, of which the last segment is enough. Raises Denied."""
        job = self._jobs.get(job_id)
        if job is None:
            raise Denied("not_found", f"No batch found with id {job_id[:100]!r}.")
        return job


def _forget_oldest(kept: dict[str, Job] | dict[str, bytes]) -> None:
    if len(kept) > _MOST_KEPT:
        del kept[next(iter(kept))]
