"""What a monitor saw, as Prometheus is told of it: its picture, and counts of all that it has read."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from harness.live.exposition import MOST_CELLS, OTHERS, CellNow, Level, Shown
from harness.live.live import Board, CellReport, Key, Live
from harness.plan import Slo, Target
from harness.records.monitor_record import Gravity, LiveCell, Picture, SlaState
from harness.sample import Sample

_WHO = "monitor"
_VERDICT_OF: dict[Gravity, str] = {"note": "valid", "suspect": "suspect", "invalid": "invalid"}
_GRAVEST = ("invalid", "suspect", "valid")


class Counted:
    """Counts samples as they are read, in constant memory: beyond `MOST_CELLS` targets and workloads they are counted
    together. `add` from one thread, `ever` from any. Counts are those since this was made."""

    def __init__(self, slo: Slo | None = None, targets: Iterable[Target] = ()) -> None:
        self._live = Live(time.monotonic(), slo, {target.name: target for target in targets})
        self._board = Board()
        self._cells: set[Key] = set()
        self._lock = threading.Lock()

    def add(self, samples: Sequence[Sample]) -> None:
        """Count attempts that have ended."""
        with self._lock:
            for sample in samples:
                self._live.add(self._folded(sample))

    def _folded(self, sample: Sample) -> Sample:
        key = (sample.target, sample.workload)
        if key in self._cells:
            return sample
        if len(self._cells) < MOST_CELLS - 1:
            self._cells.add(key)
            return sample
        return msgspec.structs.replace(sample, target=OTHERS, workload=OTHERS)

    def ever(self) -> list[CellReport]:
        """All that was counted."""
        with self._lock:
            now_s = time.monotonic()
            self._board.merge(_WHO, self._live.take(now_s), now_s)
            return self._board.ever(now_s)


def shown_of_picture(picture: Picture, counts: Sequence[CellReport]) -> Shown:
    """What is told of a monitor's picture."""
    verdicts = {_VERDICT_OF[doubt.severity] for doubt in picture.findings}
    return Shown(
        run=picture.run,
        plan=picture.plan,
        mode="monitor" if picture.mode == "run" else picture.mode,
        state=picture.state,
        counts=counts,
        cells=[_cell_now(cell) for cell in picture.cells],
        verdict=next((verdict for verdict in _GRAVEST if verdict in verdicts), "valid"),
        findings=[(doubt.code, doubt.severity) for doubt in picture.findings],
        alerts=picture.alerts,
        budget_usd=picture.spend.budget_usd,
        budget_requests=picture.spend.budget_requests,
        elapsed_s=picture.elapsed_s,
        planned_s=picture.planned_s,
    )


def _cell_now(cell: LiveCell) -> CellNow:
    levels = [
        Level(each.objective, each.target_ratio, each.compliance, each.budget_left, burn_rates(each))
        for each in cell.sla
    ]
    return CellNow(cell.target, cell.workload, silence_s=cell.silence_s, levels=levels, shifts=cell.degradation)


def burn_rates(sla: SlaState) -> Mapping[str, float | None]:
    """Burn rates by window: an SLA names pairs of a long and a short one, such as `1h/5m`."""
    rates: dict[str, float | None] = {}
    for pair, burn in sla.burn.items():
        long, _, short = pair.partition("/")
        rates[long] = burn.long
        rates[short] = burn.short
    return rates
