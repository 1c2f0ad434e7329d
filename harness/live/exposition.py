"""What is measured, as Prometheus and OpenMetrics read it: counts and states -> metric families. Own registry.

Labels are names of targets and workloads, never prompts, keys or messages; there is a limit to how many there are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from harness import __version__
from harness.errors import ErrorClass
from harness.live.live import CellReport, Key
from harness.live.live_cell import LiveCell, Sketch, bucket_of, middle_s
from harness.records.metric_table import METRICS, Metric
from harness.records.monitor_record import AlertState, Gravity, Shift
from harness.sample import Outcome

MOST_RUNS = 50
MOST_CELLS = 200  # of a run
MOST_SERIES = 5000  # of one metric, histograms apart
OTHERS = "(others)"
STATES = ("waiting", "running", "ended", "died")
VERDICTS = ("valid", "suspect", "invalid")
_LONGEST = 128

Values = Iterable[tuple[tuple[str, ...], float]]  # labels in the order of the table, and a value


@dataclass(frozen=True)
class WorkerNow:
    """How a process that sends requests fares, over the last seconds. None: not measured."""

    name: str
    in_flight: int | None = None
    loop_lag_p99_s: float | None = None
    cpu_share: float | None = None
    cpu_wait_share: float | None = None
    rss_bytes: int | None = None


@dataclass(frozen=True)
class Level:
    """How an objective stands; `burn`: how fast its budget burns, by window. None: nothing to tell it by."""

    objective: str
    target_ratio: float
    compliance: float | None
    budget_left: float | None
    burn: Mapping[str, float | None]


@dataclass(frozen=True)
class CellNow:
    """How one target and workload stands. None: not measured."""

    target: str
    workload: str
    in_flight: int | None = None
    silence_s: float | None = None
    levels: Sequence[Level] = ()
    shifts: Sequence[Shift] = ()


@dataclass(frozen=True)
class Shown:
    """All that is told at one moment. `counts` hold what was ever counted; `verdict`: one of `VERDICTS`; `findings`:
    code and severity of each. Durations in s. None: not measured, or not planned."""

    run: str
    plan: str
    mode: str
    state: str
    counts: Sequence[CellReport] = ()
    cells: Sequence[CellNow] = ()
    workers: Sequence[WorkerNow] = ()
    verdict: str | None = None
    findings: Sequence[tuple[str, Gravity]] = ()
    alerts: Sequence[AlertState] = ()
    budget_usd: float | None = None
    budget_requests: int | None = None
    elapsed_s: float | None = None
    planned_s: float | None = None
    repeat: int | None = None
    repeats: int | None = None


@dataclass(frozen=True)
class Exposition(Collector):
    """Gives `shown()`, one for each run, to a registry, whenever it is asked."""

    shown: Callable[[], Sequence[Shown]]
    registry: CollectorRegistry = field(default_factory=lambda: CollectorRegistry(auto_describe=False))

    def __post_init__(self) -> None:
        self.registry.register(self)

    def describe(self) -> Iterator[Family]:
        """The names, so that nothing is measured to know them."""
        return (_family(metric) for metric in METRICS.values())

    def collect(self) -> Iterator[Family]:
        """The families that have a value now."""
        return families(self.shown())

    def page(self, accept: str | None) -> tuple[bytes, str]:
        """The page and its content type, by what a client accepts: OpenMetrics, or Prometheus' text."""
        encode, content_type = choose_encoder(accept or "")
        page: bytes = encode(self.registry)
        return page, content_type


def families(runs: Sequence[Shown]) -> Iterator[Family]:
    """What is told of a moment, in the order of the table: of each run once, and of `MOST_RUNS` at most."""
    told = {_label(shown.run): _Told.of(shown) for shown in reversed(runs[:MOST_RUNS])}
    for name, metric in METRICS.items():
        family, written = _family(metric), set[tuple[str, ...]]()
        for run, each in told.items():
            if isinstance(family, HistogramMetricFamily):
                for key, cell in each.cells.items():
                    _add_histogram(family, metric, (run, *key), cell)
            elif isinstance(family, InfoMetricFamily):
                family.add_metric([], {"run": run, **each.info})
            else:
                assert isinstance(family, (CounterMetricFamily, GaugeMetricFamily))
                _add_values(family, run, each.values[name.removeprefix("tokenswarm_")], written)
        if family.samples:
            yield family


@dataclass(frozen=True)
class _Told:
    """A run in the terms of the table."""

    info: Mapping[str, str]
    cells: Mapping[Key, LiveCell]
    values: Mapping[str, Values]

    @classmethod
    def of(cls, shown: Shown) -> _Told:
        """What is told of a run."""
        cells, folded = _folded(shown.counts)
        info = {"plan": shown.plan, "version": __version__, "mode": shown.mode}
        values = _counters(cells) | _gauges(shown) | {"folded_cells": [((), float(folded))]}
        return cls({label: _label(text) for label, text in info.items()}, cells, values)


def _family(metric: Metric) -> Family:
    if metric.kind == "info":
        return InfoMetricFamily(metric.name, metric.says)
    kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
    family: Family = kinds[metric.kind](metric.name, metric.says, labels=("run", *metric.labels))
    return family


def _add_values(
    family: CounterMetricFamily | GaugeMetricFamily, run: str, values: Values, written: set[tuple[str, ...]]
) -> None:
    """Each set of labels once: of names that a label cannot tell apart, the first is told."""
    for names, value in values:
        labels = (run, *map(_label, names))
        if labels not in written and len(written) < MOST_SERIES:
            written.add(labels)
            family.add_metric(labels, value)


def _label(text: str) -> str:
    """A name as a label: of bounded length, and such that it can be encoded. The library escapes it."""
    return text[:_LONGEST].encode("utf-8", "replace").decode()


def _folded(counts: Sequence[CellReport]) -> tuple[dict[Key, LiveCell], int]:
    """The cells by what their labels are, and how many of them had to be told as others."""
    cells: dict[Key, LiveCell] = {}
    folded = 0
    for each in counts:
        key = (_label(each.target), _label(each.workload))
        if key not in cells and len(cells) >= MOST_CELLS:
            key, folded = (OTHERS, OTHERS), folded + 1
        cells.setdefault(key, LiveCell()).merge(each.new)
    return cells, folded


def _counters(cells: Mapping[Key, LiveCell]) -> dict[str, Values]:
    """Outcomes and classes that have not been seen are zero: a rate needs a beginning."""
    told = [(key, cell) for key, cell in cells.items() if cell.told]
    return {
        "requests": [((*key, each), cell.outcomes.get(each, 0)) for key, cell in cells.items() for each in Outcome],
        "errors": [((*key, each), cell.errors.get(each, 0)) for key, cell in cells.items() for each in ErrorClass],
        "good_requests": [(key, cell.good) for key, cell in cells.items()],
        "input_tokens": [(key, cell.input_tokens) for key, cell in cells.items() if cell.input_tokens],
        "cached_tokens": [(key, cell.cached_tokens) for key, cell in cells.items() if cell.input_tokens],
        "output_tokens": [(key, cell.output_tokens) for key, cell in told],
        "reasoning_tokens": [(key, cell.reasoning_tokens) for key, cell in told],
        "spend_usd": [(key, cell.usd) for key, cell in cells.items() if cell.priced],
    }


def _gauges(shown: Shown) -> dict[str, Values]:
    verdict = None if shown.verdict is None else VERDICTS.index(shown.verdict)
    return {
        **_gauges_of_cells(shown.cells),
        **_gauges_of_workers(shown.workers),
        "validity": _one(verdict),
        "findings": _counted(shown.findings),
        "alerts": _counted(_labels_of_alert(alert) for alert in shown.alerts),
        "budget_usd": _one(shown.budget_usd),
        "budget_requests": _one(shown.budget_requests),
        "run_state": [((state,), float(state == shown.state)) for state in STATES],
        "run_elapsed_seconds": _one(shown.elapsed_s),
        "run_planned_seconds": _one(shown.planned_s),
        "run_repeat": _one(shown.repeat),
        "run_repeats": _one(shown.repeats),
    }


def _gauges_of_cells(cells: Sequence[CellNow]) -> dict[str, Values]:
    keyed = [((cell.target, cell.workload), cell) for cell in cells[:MOST_CELLS]]
    levels = [((*key, each.objective), each) for key, cell in keyed for each in cell.levels]
    shifts = [((*key, each.metric, each.kind), each) for key, cell in keyed for each in cell.shifts]
    return {
        "in_flight_requests": _known((key, cell.in_flight) for key, cell in keyed),
        "silence_seconds": _known((key, cell.silence_s) for key, cell in keyed),
        "slo_target_ratio": [(labels, level.target_ratio) for labels, level in levels],
        "slo_compliance_ratio": _known((labels, level.compliance) for labels, level in levels),
        "slo_budget_left_ratio": _known((labels, level.budget_left) for labels, level in levels),
        "slo_burn_rate": _known(
            ((*labels, window), rate) for labels, level in levels for window, rate in level.burn.items()
        ),
        "degradation_ratio": _known((labels, shift.ratio) for labels, shift in shifts),
        "degradation_confirmed": [(labels, float(shift.confirmed)) for labels, shift in shifts],
    }


def _gauges_of_workers(workers: Sequence[WorkerNow]) -> dict[str, Values]:
    keyed = [((worker.name,), worker) for worker in workers]
    return {
        "worker_in_flight_requests": _known((key, worker.in_flight) for key, worker in keyed),
        "worker_loop_lag_seconds": _known((key, worker.loop_lag_p99_s) for key, worker in keyed),
        "worker_cpu_ratio": _known((key, worker.cpu_share) for key, worker in keyed),
        "worker_cpu_wait_ratio": _known((key, worker.cpu_wait_share) for key, worker in keyed),
        "worker_resident_bytes": _known((key, worker.rss_bytes) for key, worker in keyed),
    }


def _labels_of_alert(alert: AlertState) -> tuple[str, ...]:
    silenced = "true" if alert.silenced else "false"
    return alert.target, alert.workload, alert.rule, alert.severity, alert.state, silenced


def _one(value: float | None) -> Values:
    return _known([((), value)])


def _known(values: Iterable[tuple[tuple[str, ...], float | None]]) -> Values:
    return [(labels, value) for labels, value in values if value is not None]


def _counted(labels: Iterable[tuple[str, ...]]) -> Values:
    counts: dict[tuple[str, ...], float] = {}
    for each in labels:
        counts[each] = counts.get(each, 0.0) + 1
    return list(counts.items())


_SKETCHES: dict[str, Callable[[LiveCell], tuple[Sketch, int]]] = {
    "tokenswarm_ttft_seconds": lambda cell: (cell.ttft, cell.ttft_ns),
    "tokenswarm_e2e_seconds": lambda cell: (cell.e2e, cell.e2e_ns),
    "tokenswarm_itl_seconds": lambda cell: (cell.itl, cell.itl_ns),
    "tokenswarm_tpot_seconds": lambda cell: (cell.tpot, cell.tpot_ns),
}


def _add_histogram(family: HistogramMetricFamily, metric: Metric, labels: Sequence[str], cell: LiveCell) -> None:
    sketch, sum_ns = _SKETCHES[metric.name](cell)
    below = cumulative(sketch, metric.bounds_s)
    buckets = [*zip(map(str, metric.bounds_s), below, strict=False), ("+Inf", below[-1])]
    family.add_metric(labels, buckets, sum_ns / 1e9)


def cumulative(sketch: Sketch, bounds_s: tuple[float, ...]) -> list[int]:
    """How many values are at most each bound, and at last how many there are.

    A sketch does not tell where in its bucket, 2 % wide, a value lies: a bucket counts as a whole, by its middle. So
    what is told of a bound is exact for another at most 1 % from it, always the same one: the counts never fall.
    """
    counts = [0] * (len(bounds_s) + 1)
    last = _last_buckets(bounds_s)
    for bucket, n in sketch.items():
        counts[bisect_left(last, bucket)] += n
    total = 0
    below = []
    for count in counts:
        total += count
        below.append(total)
    return below


@cache
def _last_buckets(bounds_s: tuple[float, ...]) -> list[int]:
    """The last bucket of a sketch whose middle is at most each bound."""
    found = []
    for bound_s in bounds_s:
        bucket = bucket_of(bound_s * 1e9)
        found.append(bucket if middle_s(bucket) <= bound_s else bucket - 1)
    return found
