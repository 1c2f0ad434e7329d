"""A run as Prometheus is told of it: the board of live figures, and what the plan wants, brought together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from analysis.cells.health import worker_of
from analysis.watching.sla import objectives
from harness.cells import cells
from harness.live.exposition import CellNow, Level, Shown, WorkerNow, cumulative
from harness.live.live import WINDOW_S, Board, CellReport, Key, Row
from harness.live.live_cell import LiveCell, Sketch
from harness.live.live_picture import picture_of
from harness.plan import Budget, Plan, Slo
from harness.records.health_record import Health
from harness.rundir import RunDir

_WINDOW = f"{WINDOW_S:g}s"
_NOT_THEIRS = ("client", "throttled")  # classes of errors that say nothing against the provider's availability


@dataclass(frozen=True)
class Whose:
    """Whose figures they are. `cells`: the targets and workloads that will be asked; `mode`: `run` (a plan) or `locust`
    (started by hand). `planned_s`: how long all repeats take."""

    run: str
    plan: str
    mode: str
    cells: tuple[Key, ...] = ()
    slo: Slo = field(default_factory=Slo)
    budget: Budget = field(default_factory=Budget)
    repeats: int | None = None
    planned_s: float | None = None


BY_HAND = Whose(run="locust", plan="", mode="locust")


def whose_run(plan: Plan, run_dir: RunDir, planned_s: float | None = None) -> Whose:
    """A planned run."""
    return Whose(
        run=run_dir.name,
        plan=plan.name,
        mode="run",
        cells=tuple(sorted({(cell.target.name, cell.workload.name) for cell in cells(plan, 1)})),
        slo=plan.slo,
        budget=plan.budget,
        repeats=plan.repeats,
        planned_s=planned_s,
    )


def shown_of(
    board: Board,
    whose: Whose,
    state: str,
    now_s: float,
    *,
    elapsed_s: float | None = None,
    repeat: int | None = None,
    followed: bool = False,
) -> Shown:
    """What is told of a run now (in s of the clock of `board.merge`); `state` as in `exposition.STATES`. `followed`:
    the board was told by journals, which know nothing of what is under way."""
    picture = picture_of(board, state, now_s)
    rows = {(line.row.target, line.row.workload): line.row for line in picture.lines}
    doubts = [*picture.findings, *(finding for line in picture.lines for finding in line.findings)]
    counts = _with_planned(board.ever(now_s), whose.cells)
    keyed = [(each, rows.get((each.target, each.workload))) for each in counts]
    return Shown(
        run=whose.run,
        plan=whose.plan,
        mode=whose.mode,
        state=state,
        counts=counts,
        cells=[_cell_now(each, row, whose.slo, followed=followed) for each, row in keyed],
        workers=[_worker_now(mine) for mine in board.health(now_s) if mine],
        verdict=picture.verdict,
        findings=[(doubt.code, doubt.severity) for doubt in doubts],
        budget_usd=whose.budget.usd,
        budget_requests=whose.budget.requests,
        elapsed_s=elapsed_s,
        planned_s=whose.planned_s,
        repeat=repeat,
        repeats=whose.repeats,
    )


def _with_planned(counts: list[CellReport], planned: Iterable[Key]) -> list[CellReport]:
    """With those that are planned and were not asked yet: a rate needs a beginning."""
    known = {(each.target, each.workload) for each in counts}
    empty = [
        CellReport(target=key[0], workload=key[1], in_flight=0, new=LiveCell()) for key in planned if key not in known
    ]
    return [*counts, *empty]


def _cell_now(told: CellReport, row: Row | None, slo: Slo, *, followed: bool) -> CellNow:
    in_flight = None if followed else told.in_flight
    return CellNow(told.target, told.workload, in_flight=in_flight, levels=list(_levels(told.new, row, slo)))


def _levels(cell: LiveCell, row: Row | None, slo: Slo) -> Iterable[Level]:
    """Every objective of the plan's `slo`, over the whole run; the availability also over the last seconds."""
    if slo.availability is not None and slo.availability < 1:
        now = (0, 0) if row is None else _available(row.window.outcomes, row.window.errors)
        whole = _available(cell.outcomes, cell.errors)
        yield _level("availability", slo.availability, whole, {_WINDOW: now})
    sketches = {"ttft_s": cell.ttft, "tpot_s": cell.tpot, "e2e_s": cell.e2e}
    for objective, target in objectives(slo).items():
        name, _, limit_s = objective.partition("<=")
        if name in sketches and target < 1:
            yield _level(objective, target, _within(sketches[name], float(limit_s)), {})


def _within(sketch: Sketch, limit_s: float) -> tuple[int, int]:
    good, valid = cumulative(sketch, (limit_s,))
    return good, valid


def _available(outcomes: Mapping[str, int], errors: Mapping[str, int]) -> tuple[int, int]:
    """How many attempts were answered well, of those that could tell: what the client or a limit spoilt cannot."""
    good = outcomes.get("ok", 0)
    return good, good + sum(n for name, n in errors.items() if name not in _NOT_THEIRS)


def _level(objective: str, target: float, whole: tuple[int, int], recent: Mapping[str, tuple[int, int]]) -> Level:
    """Compliance is good / valid; its budget is 1 - target, of which 1 - compliance is used."""
    compliance, used = _ratio(*whole), _burn(whole, target)
    burn = {"run": used} | {window: _burn(counts, target) for window, counts in recent.items()}
    return Level(objective, target, compliance, None if used is None else 1 - used, burn)


def _burn(counts: tuple[int, int], target: float) -> float | None:
    compliance = _ratio(*counts)
    return None if compliance is None else (1 - compliance) / (1 - target)


def _ratio(good: int, valid: int) -> float | None:
    return good / valid if valid else None


def _worker_now(rows: Sequence[Health]) -> WorkerNow:
    last = rows[-1]
    found = worker_of(last.worker, None, rows)
    return WorkerNow(
        last.worker, last.in_flight, found.loop_lag_p99_s, found.cpu_share, found.cpu_wait_share, last.rss_bytes
    )
