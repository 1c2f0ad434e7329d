"""`tokenswarm monitor --metrics-port`: what the monitor sees of every run that it watches, as `/metrics`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from harness.live.exposition import Exposition, Shown
from harness.live.monitor_shown import Counted, shown_of_picture
from harness.live.scraping import Door, serving
from harness.plan import Plan
from harness.records.monitor_record import Picture
from harness.rundir import RunDir

KEPT_S = 300.0  # a run that is over is told for so long, so that its last figures are read


@dataclass(frozen=True)
class _Run:
    picture: Picture
    at_s: float


class Told:
    """What is told of all watched runs. The loop of the monitor writes, a scrape reads. `clock`: monotonic, in s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counted: dict[str, Counted] = {}
        self._runs: dict[str, _Run] = {}
        self._lock = threading.Lock()

    def counted(self, run_dir: RunDir, plan: Plan | None) -> Counted:
        """Where every attempt of a run is to be counted that the monitor takes in. Begins at zero, or goes on."""
        counted = self._counted.get(run_dir.name)
        if counted is None:
            counted = Counted() if plan is None else Counted(plan.slo, plan.targets)
            self._counted[run_dir.name] = counted
        return counted

    def tell(self, pictures: Sequence[Picture]) -> None:
        """What the monitor has just seen."""
        now_s = self._clock()
        with self._lock:
            self._runs |= {picture.run: _Run(picture, now_s) for picture in pictures}
            for name in [name for name, run in self._runs.items() if now_s - run.at_s > KEPT_S]:
                del self._runs[name]
                self._counted.pop(name, None)

    def shown(self) -> list[Shown]:
        """One for each run."""
        with self._lock:
            runs = [(run.picture, self._counted.get(name)) for name, run in self._runs.items()]
        return [shown_of_picture(picture, [] if counted is None else counted.ever()) for picture, counted in runs]


@contextmanager
def metrics_of_monitor(told: Told, door: Door, tell: Callable[[str], None]) -> Iterator[None]:
    """Serve what is told for as long as the block lasts; then wait for whoever has asked lately to ask once more."""
    with serving(Exposition(told.shown), door) as (url, scraped):
        tell(f"metrics: {url}")
        yield
        if door.linger_s and scraped.lately():
            tell(f"metrics: waiting {door.linger_s:g} s at most for the last scrape")
            with suppress(KeyboardInterrupt):
                scraped.wait_since(time.monotonic(), door.linger_s)
