"""What the live page and Locust's tab show: figures of every target, how the clients fare, and doubts about both.

Doubts are worded and limited as in the final judgement (`analysis/cells/health.py`, `analysis/validity.py`), on what is
known by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten

import msgspec

from analysis.cells.health import Worker, judge_workers, worker_of
from analysis.summary import Finding, Severity, Verdict
from analysis.validity import verdict_of
from harness.live.live import WINDOW_S, Board, Figures, Row
from harness.sample import Outcome

_GRAVEST: tuple[Severity, ...] = ("invalid", "suspect", "note")
_SHORT = 60
_FEWEST_ROWS = 3  # seconds: fewer say little
_NOTHING = "\N{EN DASH}"
_TIMES = "\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}"
_NOT_ERRORS = (Outcome.CANCELLED, Outcome.DROPPED)  # they have no class: we gave them up ourselves


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One target and workload, and the doubts about it."""

    row: Row
    findings: list[Finding]


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """All that is shown. `state` is the Locust runner's. `clients` are the workers that had requests under way in the
    last `window_s` seconds, in those seconds; `findings` are the doubts about them."""

    state: str
    window_s: float
    verdict: Verdict
    lines: list[Line]
    clients: list[Worker]
    findings: list[Finding]


def picture_of(board: Board, state: str, now_s: float) -> Picture:
    """What is to be shown now (in s of the clock of `board.merge`)."""
    rows = board.view(now_s)
    busy = {mine[0].worker: mine for all_rows in board.health(now_s) if (mine := [r for r in all_rows if r.in_flight])}
    clients = [worker_of(name, None, mine) for name, mine in sorted(busy.items())]
    judged = [client for client in clients if len(busy[client.name]) >= _FEWEST_ROWS]
    lines = [Line(row=row, findings=doubts_of_target(row)) for row in rows]
    findings = judge_workers(judged, rows)
    verdict = verdict_of([*findings, *(finding for line in lines for finding in line.findings)])
    return Picture(state=state, window_s=WINDOW_S, verdict=verdict, lines=lines, clients=clients, findings=findings)


def doubts_of_target(row: Row) -> list[Finding]:
    """What speaks against the figures of a target."""
    name, test, found = f"{row.target} {row.workload}", row.test, []
    if test.attempted and not test.outcomes.get(Outcome.OK):
        saw = f"{name}: no success in {test.attempted} requests ({failures(test)})"
        why = "a target that never answers well cannot be compared"
        found.append(_doubt("no-success", "invalid", saw, why, "check base_url, model, key and the provider's status"))
    dropped = test.outcomes.get(Outcome.DROPPED, 0)
    if dropped:
        saw = f"{name}: {dropped} of {dropped + test.attempted} arrivals were not sent in time"
        why = "the provider, or this client, does not keep up with the rate"
        found.append(_doubt("late-sends", "note", saw, why, "see whether the clients are healthy; else a lower rate"))
    if test.ttft_s.n and test.output_tokens is None:
        why = "without the provider's count there is no TPOT, no tokens/s and no cost"
        hint = "does the server report usage in streams?"
        found.append(_doubt("no-usage", "note", f"{name}: no usage in the replies", why, hint))
    return found


def _doubt(code: str, severity: Severity, saw: str, why: str, hint: str) -> Finding:
    return Finding(code=code, severity=severity, saw=saw, why=why, hint=hint)


def failures(figures: Figures) -> str:
    """What went wrong, by class of error, and what we gave up."""
    given_up = {outcome.value: figures.outcomes[outcome] for outcome in _NOT_ERRORS if outcome in figures.outcomes}
    told = ", ".join(f"{name}{_TIMES}{n}" for name, n in (figures.errors | given_up).items())
    return told or "none"


COLUMNS = {
    "target": "Target",
    "workload": "Workload",
    "requests": "Requests",
    "in_flight": "In flight",
    "requests_rate": "Requests/s",
    "goodput": "Goodput/s",
    "tokens_rate": "Tokens/s",
    "ttft": "TTFT p50 (ms)",
    "ttft_tail": "TTFT p95 (ms)",
    "itl": "ITL p50 (ms)",
    "tpot": "TPOT p50 (ms)",
    "failures": "Failures",
    "validity": "Validity so far",
    "findings": "Findings",
}


def table_of(picture: Picture) -> list[dict[str, str | int | float]]:
    """The rows of Locust's tab, by the keys of `COLUMNS`: rates of the last seconds, the rest of the whole test."""
    return [_line_of_table(line, picture) for line in picture.lines]


def _line_of_table(line: Line, picture: Picture) -> dict[str, str | int | float]:
    row, test, rates = line.row, line.row.test, line.row.rates
    return {
        "name": f"{row.target} {row.workload}",  # Locust's page tells rows apart by it
        "target": row.target,
        "workload": row.workload,
        "requests": test.attempted,
        "in_flight": row.in_flight,
        "requests_rate": _shown(rates.attempted_rps),
        "goodput": _shown(rates.goodput_rps),
        "tokens_rate": _shown(rates.output_tokens_per_s),
        "ttft": _in_ms(test.ttft_s.p50),
        "ttft_tail": _in_ms(test.ttft_s.p95),
        "itl": _in_ms(test.itl_s.p50),
        "tpot": _in_ms(test.tpot_s.p50),
        "failures": failures(test),
        "validity": _in_short([*line.findings, *picture.findings]),
        "findings": _worst([*line.findings, *picture.findings]),
    }


def _in_short(findings: Sequence[Finding]) -> str:
    verdict = verdict_of(findings)
    codes = dict.fromkeys(finding.code for finding in findings if verdict in ("valid", finding.severity))
    return verdict + (f": {', '.join(codes)}" if codes else "")


def _worst(findings: Sequence[Finding]) -> str:
    """The beginning of what is doubted most, since cells are narrow, and how many doubts there are beside.
    `/tokenswarm` has them all in full."""
    if not findings:
        return "none"
    worst = min(findings, key=lambda finding: _GRAVEST.index(finding.severity))
    saw = shorten(worst.saw, _SHORT, placeholder=" \N{HORIZONTAL ELLIPSIS}")
    return saw + (f" (and {len(findings) - 1} more)" if len(findings) > 1 else "")


def _in_ms(seconds: float | None) -> float | str:
    return _shown(None if seconds is None else seconds * 1e3)


def _shown(value: float | None) -> float | str:
    """Some three digits."""
    if value is None:
        return _NOTHING
    return round(value, 2) if value < 10 else round(value, 1) if value < 100 else round(value)
