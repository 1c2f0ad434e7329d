"""The tables of a run's page: the numbers of its summary, as the report and the terminal word them.

Each number carries its path in `summary.json` and its exact value (`data-path`, `data-value`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dash import html

from analysis.showing.wording_capacity import interval
from analysis.showing.wording_cost import COST_COLUMNS, RESOURCE_COLUMNS, TOKEN_COLUMNS
from analysis.showing.wording_quality import rate
from analysis.summary import Reliability, Result, Summary
from analysis.wording import (
    NOTHING,
    VERDICTS,
    estimate,
    goal_saw,
    number,
    percent,
    place,
    recovery,
    seconds,
    share,
    statistic,
)
from dashboard.pieces import ends, table
from harness.sample import Outcome

_TIMES = (
    *(("ttft_s", "p50"), ("ttft_s", "p95"), ("itl_s", "p50"), ("tpot_s", "p50")),
    *(("e2e_s", "p50"), ("e2e_s", "p95"), ("e2e_s", "p99")),
)
_MET = {True: "met", False: "missed", None: "soft"}
_NAMES = {"ttft_s": "TTFT", "itl_s": "ITL", "tpot_s": "TPOT", "e2e_s": "E2E"}
_RATES = {
    "offered_rps": "Offered",
    "achieved_rps": "Sent",
    "completed_rps": "Ok",
    "goodput_rps": "Goodput",
    "output_tokens_per_s": "Tokens/s",
    "in_flight_mean": "In flight",
}


def exact(path: str, value: float | None, text: str) -> Any:
    """A number as it is worded, with where it stands in the summary and what it is there."""
    return html.Span(ends(text), **{"data-path": path, "data-value": "null" if value is None else repr(value)})


def _where(results: Sequence[Result], index: int) -> list[Any]:
    return [results[index].target, place(results[index]) or NOTHING]


def latencies(results: Sequence[Result]) -> Any:
    """Requests and latencies of each result, with intervals over its repeats."""
    shown = [each for each in _TIMES if any(getattr(result, each[0]) for result in results)]
    heads = ["Target", "Load", "Requests", *(f"{_NAMES[name]} {part}" for name, part in shown)]
    rows = []
    for index, result in enumerate(results):
        cells = _where(results, index)
        cells.append(exact(f"results[{index}].attempted", result.attempted, f"{result.attempted:,}"))
        for name, part in shown:
            dist = getattr(result, name)
            text = statistic(dist, part, with_interval=True)
            cells.append(exact(f"results[{index}].{name}.{part}", getattr(dist, part, None), text))
        rows.append(cells)
    return table(heads, rows, left=2, label="Latencies")


def rates(results: Sequence[Result]) -> Any:
    """Requests/s of each result: asked for, sent, ended ok, within the SLO."""
    shown = {name: title for name, title in _RATES.items() if any(getattr(each, name) is not None for each in results)}
    rows = []
    for index, result in enumerate(results):
        values = [(name, getattr(result, name)) for name in shown]
        numbers = [exact(f"results[{index}].{name}", value, number(value)) for name, value in values]
        rows.append([*_where(results, index), *numbers])
    return table(["Target", "Load", *shown.values()], rows, left=2, label="Rates")


def goals(results: Sequence[Result]) -> Any:
    """The limits that the plan set, and whether they were met; None without any."""
    rows = [
        [
            *(result.target, place(result) or NOTHING, goal.text, goal_saw(goal)),
            html.Span(VERDICTS[goal.met], className=_MET[goal.met]),
        ]
        for result in results
        for goal in result.goals
    ]
    return table(["Target", "Load", "Goal", "Measured", "Verdict"], rows, left=3, label="Goals") if rows else None


def providers(summary: Summary) -> Any:
    """Each provider over all of its loads; None where none was watched."""
    rows = [
        [each.target, seconds(each.reliability.watched_s), *_up_and_down(each.reliability, f"providers[{index}]")]
        for index, each in enumerate(summary.providers)
    ]
    return table(["Target", "Watched", *_UP], rows, label="Reliability of each provider") if rows else None


_UP = ("Available", "Outages", "Longest", "MTBF", "MTTR")


def _up_and_down(found: Reliability, path: str) -> list[Any]:
    available = found.availability
    return [
        exact(f"{path}.reliability.availability.value", available.value, share(available)),
        f"{len(found.outages)}",
        seconds(found.longest_outage_s),
        ends(estimate(found.mtbf_s)),
        ends(estimate(found.mttr_s)),
    ]


def reliability(results: Sequence[Result]) -> Any:
    """Success and errors of each result; None where nothing tells it."""
    rows = []
    for index, result in enumerate(results):
        found = result.reliability
        if found is None:
            continue
        said = ", ".join(f"{kind} × {n}" for kind, n in result.errors.items()) or "none"
        path = f"results[{index}].reliability.success_ratio.value"
        success = found.success_ratio
        shown = exact(path, success.value, share(success))
        healed = NOTHING if result.recovery is None else recovery(result.recovery)
        rows.append([*_where(results, index), shown, f"{found.provider_failures}", healed, said])
    heads = ["Target", "Load", "Success ratio", "Provider failures", "Recovery", "Errors"]
    return table(heads, rows, left=2, label="Success and errors of each load") if rows else None


def outcomes(results: Sequence[Result]) -> Any:
    """How the requests of each result ended."""
    known = [each.value for each in Outcome if any(each.value in result.outcomes for result in results)]
    rows = [
        [
            *_where(results, index),
            *(
                exact(
                    f"results[{index}].outcomes.{name}",
                    result.outcomes.get(name, 0),
                    f"{result.outcomes.get(name, 0):,}",
                )
                for name in known
            ),
        ]
        for index, result in enumerate(results)
    ]
    return table(["Target", "Load", *known], rows, left=2, label="How requests ended")


def scaling(results: Sequence[Result]) -> Any:
    """Each load against the lowest of the same target; None without a sweep."""
    rows = []
    for index, result in enumerate(results):
        found = result.scaling
        if found is None:
            continue
        worse = [ends(interval(found.degradation.get(name))) for name in ("ttft_s.p50", "itl_s.p50", "e2e_s.p50")]
        rows.append(
            [
                *_where(results, index),
                number(found.in_flight),
                ends(interval(found.efficiency)),
                percent(found.load_handling.value) if found.load_handling is not None else NOTHING,
                percent(found.slo_attainment),
                *worse,
            ]
        )
    heads = ["Target", "Load", "N in flight", "Efficiency", "Handled", "Within SLO", "TTFT ×", "ITL ×", "E2E ×"]
    return table(heads, rows, left=2, label="Scaling") if rows else None


def quality(results: Sequence[Result]) -> Any:
    """How good the replies of each result were; None where none was graded."""
    rows = []
    for index, result in enumerate(results):
        found = result.quality
        if found is not None:
            accuracy = None if found.accuracy is None else found.accuracy.value
            rows.append(
                [
                    *_where(results, index),
                    exact(f"results[{index}].quality.accuracy.value", accuracy, rate(found.accuracy)),
                    *(ends(rate(each)) for each in (found.accuracy_of_all, found.f1, found.refused, found.cut)),
                ]
            )
    heads = ["Target", "Load", "Accuracy", "Of all", "Word F1", "Refused", "Cut"]
    return table(heads, rows, left=2, label="Quality") if rows else None


def cost(results: Sequence[Result]) -> list[Any]:
    """Tokens, money, and what the client used: a table of each that is known."""
    parts: Sequence[tuple[str, Mapping[str, Any]]] = (
        ("Cost", COST_COLUMNS),
        ("Tokens", TOKEN_COLUMNS),
        ("The client", RESOURCE_COLUMNS),
    )
    found: list[Any] = []
    for title, columns in parts:
        rows = [
            [*_where(results, index), *(cell(each) for cell in columns.values())] for index, each in enumerate(results)
        ]
        known = [place for place in range(2, 2 + len(columns)) if any(row[place] != NOTHING for row in rows)]
        if known:
            heads = ["Target", "Load", *(list(columns)[place - 2] for place in known)]
            cut = [[*row[:2], *(row[place] for place in known)] for row in rows]
            found += [html.H3(title), table(heads, cut, left=2, label=title)]
    return found
