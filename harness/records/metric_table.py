"""What `/metrics` tells: every metric by name, its kind, its labels, its meaning. The table of docs/prometheus.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram", "info"]
CELL = ("target", "workload")
# Upper bounds in s: some ten of each decade where a person waits, fewer around it.
_REPLY_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.75)
REPLY_S = (*_REPLY_S, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0)
_TOKEN_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075)
TOKEN_S = (*_TOKEN_S, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True)
class Metric:
    """One family. `name` is without the endings that a kind adds (`_total`, `_bucket`, `_info`); `labels` are those
    beside `run`, which all have; `sources`: who tells it, r(un, Locust) and m(onitor); `bounds_s`: of a histogram."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    says: str
    sources: str = "rm"
    bounds_s: tuple[float, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its series, as PromQL has them."""
        endings = {"counter": ("_total",), "gauge": ("",), "info": ("_info",)}
        return tuple(self.name + ending for ending in endings.get(self.kind, ("_bucket", "_sum", "_count")))


_COUNTERS = (
    ("requests", (*CELL, "outcome"), "Attempts that have ended, by outcome; dropped ones were never sent."),
    ("errors", (*CELL, "class"), "Attempts that went wrong, by class of error."),
    ("good_requests", CELL, "Attempts that ended ok within every latency limit of the plan's slo."),
    ("input_tokens", CELL, "Tokens of prompts, as providers count them; cached ones included."),
    ("cached_tokens", CELL, "Those of them that were read from a cache."),
    ("output_tokens", CELL, "Tokens of replies, as providers count them; reasoning included."),
    ("reasoning_tokens", CELL, "Those of them that were reasoning."),
    ("spend_usd", CELL, "USD, of attempts whose price and usage are known; absent where none is."),
)
_HISTOGRAMS = (
    ("ttft_seconds", "Start to first content, of attempts that ended ok.", REPLY_S),
    ("e2e_seconds", "Start to end, of attempts that ended ok.", REPLY_S),
    ("itl_seconds", "One gap between consecutive content events, of attempts that ended ok.", TOKEN_S),
    ("tpot_seconds", "Time per output token after the first, of attempts that ended ok.", TOKEN_S),
)
_GAUGES: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("in_flight_requests", CELL, "Requests under way, as workers last told; not where journals are followed.", "r"),
    ("silence_seconds", CELL, "Since the last attempt ended.", "m"),
    ("worker_in_flight_requests", ("worker",), "Requests under way in a worker process.", "r"),
    ("worker_loop_lag_seconds", ("worker",), "How late its event loop was in the last 10 s, p99.", "r"),
    ("worker_cpu_ratio", ("worker",), "CPU time over wall time in the last 10 s; 1 is one core.", "r"),
    ("worker_cpu_wait_ratio", ("worker",), "The part of the time that it waited for a core.", "r"),
    ("worker_resident_bytes", ("worker",), "Its memory.", "r"),
    (
        "validity",
        (),
        "Of the measurement so far, at the end of a run the verdict: 0 valid, 1 suspect, 2 invalid.",
        "rm",
    ),
    ("findings", ("code", "severity"), "Doubts about the measurement that stand now.", "rm"),
    ("slo_target_ratio", (*CELL, "objective"), "The part of attempts that must keep an objective.", "rm"),
    (
        "slo_compliance_ratio",
        (*CELL, "objective"),
        "The part that keeps it, in this run or in the SLA's period.",
        "rm",
    ),
    ("slo_budget_left_ratio", (*CELL, "objective"), "Error budget left: 1 untouched, negative overspent.", "rm"),
    ("slo_burn_rate", (*CELL, "objective", "window"), "How fast the budget burns; 1 spends just all of it.", "rm"),
    ("degradation_ratio", (*CELL, "metric", "kind"), "A metric over its baseline.", "m"),
    (
        "degradation_confirmed",
        (*CELL, "metric", "kind"),
        "1: it has got worse, by a test with few false alarms.",
        "m",
    ),
    ("alerts", (*CELL, "rule", "severity", "state", "silenced"), "Alerts of the monitor's own rules.", "m"),
    ("budget_usd", (), "What the plan lets the whole run cost, in USD; absent without such a budget.", "rm"),
    ("budget_requests", (), "How many requests the plan lets it send.", "rm"),
    ("run_state", ("state",), "1 for the state that it is in, 0 for the others.", "rm"),
    ("run_elapsed_seconds", (), "Since it began.", "rm"),
    ("run_planned_seconds", (), "How long it takes by the plan.", "rm"),
    ("run_repeat", (), "The repeat that is under way, from 1.", "r"),
    ("run_repeats", (), "How many there are.", "r"),
    ("folded_cells", (), "Targets and workloads beyond the limit, told together as `(others)`.", "rm"),
)
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("tokenswarm_run", "info", ("plan", "version", "mode"), "What is measured, and by which version."),
        *(Metric(f"tokenswarm_{name}", "counter", labels, says) for name, labels, says in _COUNTERS),
        *(Metric(f"tokenswarm_{n}", "histogram", CELL, says, bounds_s=bounds) for n, says, bounds in _HISTOGRAMS),
        *(Metric(f"tokenswarm_{name}", "gauge", labels, says, who) for name, labels, says, who in _GAUGES),
    )
}


def as_markdown() -> str:
    """The table of docs/prometheus.md."""
    tellers = {"rm": "both", "r": "run", "m": "monitor"}
    rows = [
        f"| `{metric.name}` | {metric.kind} | {' '.join(metric.labels)} | {tellers[metric.sources]} | {metric.says} |"
        for metric in METRICS.values()
    ]
    return "\n".join(["| metric | kind | labels beside `run` | told by | meaning |", "|---|---|---|---|---|", *rows])
