"""Service levels as they stand: compliance, error budget, and how fast the budget burns. Pure.

    state = begin(plan.slo)
    state, stands = update(state, Counts(at_s=..., good={"availability": 9, "ttft_s<=1": 8}, valid={...: 10}))

Burn rates over pairs of windows are those of Google's SRE workbook, chapter 5: an alert wants both the long window,
which shows that it matters, and the short one, which shows that it still goes on. Memory is constant; the state is a
record of plain values that msgspec can keep. See docs/degradation.md.
"""

from __future__ import annotations

import math

import msgspec

from harness.plan import Slo
from harness.records.monitor_record import Burn, SlaState

MONTH_S = 30 * 86400.0
_LEAST_S = 60.0
_BUCKETS = 60  # of each ring: a window is known to a sixtieth of itself
_REACHABLE = 0.9  # of the burn that is had when everything is bad
_BEGINNING_S = 10.0  # the first counts are of so long, as far as is known
_FEWEST_LONG, _FEWEST_SHORT, _FEWEST_BAD = 20, 5, 3


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A long and a short window (s, for a period of 30 days), the burn that both must pass, and the shortest that a
    shorter period makes them."""

    name: str
    long_s: float
    short_s: float
    limit: float
    least_long_s: float
    least_short_s: float


PAIRS = (
    Pair(name="1h/5m", long_s=3600.0, short_s=300.0, limit=14.4, least_long_s=60.0, least_short_s=10.0),
    Pair(name="6h/30m", long_s=21600.0, short_s=1800.0, limit=6.0, least_long_s=300.0, least_short_s=30.0),
    Pair(name="3d/6h", long_s=259200.0, short_s=21600.0, limit=1.0, least_long_s=1800.0, least_short_s=180.0),
)


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts that ended since the last counts, up to `at_s` (wall clock, s): by objective how many could have kept
    it (`valid`), and how many did (`good`). Names of objectives: `objectives`."""

    at_s: float
    good: dict[str, int]
    valid: dict[str, int]


class Ring(msgspec.Struct, frozen=True, array_like=True):
    """Counts of the last so many buckets of `width_s`: (number of the bucket, valid, bad), oldest first."""

    width_s: float
    buckets: tuple[tuple[int, int, int], ...] = ()


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """One objective: the part of attempts that must keep it, the ring of its period, and one for each of `PAIRS`."""

    target: float
    period: Ring
    pairs: tuple[Ring, ...]


class SlaBook(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one target and workload. Only `begin` and `update` make it."""

    period_s: float
    objectives: dict[str, Objective]
    began_s: float | None = None
    latest_s: float = 0.0


def objectives(slo: Slo, latency_target: float = 0.95) -> dict[str, float]:
    """The objectives of a plan's `slo` by name, each with the part of attempts that must keep it: `availability` with
    its own; `ttft_s<=1.0`, `tpot_s<=0.05`, `e2e_s<=10.0` with `latency_target`. For latencies valid are attempts that
    ended ok and had that latency measured; for availability those neither dropped, cancelled, throttled nor failed by
    a client error."""
    limits = (("ttft_s", slo.ttft_s), ("tpot_s", slo.tpot_s), ("e2e_s", slo.e2e_s))
    found = {f"{name}<={float(limit)}": latency_target for name, limit in limits if limit is not None}
    return found if slo.availability is None else found | {"availability": slo.availability}


def begin(slo: Slo, period_s: float = MONTH_S, latency_target: float = 0.95) -> SlaBook:
    """Begin to count for a period: 30 days, or the planned length of a run (a minute at least). A longer watch keeps
    the last period."""
    period_s = max(period_s, _LEAST_S)
    pairs = tuple(Ring(_windows(pair, period_s)[0] / _BUCKETS) for pair in PAIRS)
    return SlaBook(
        period_s=period_s,
        objectives={
            name: Objective(target=target, period=Ring(period_s / _BUCKETS), pairs=pairs)
            for name, target in objectives(slo, latency_target).items()
        },
    )


def gone_on(kept: SlaBook | None, begun: SlaBook | None) -> SlaBook | None:
    """What was promised may have changed since a book was kept: of what is promised now (`begun`, which has counted
    nothing) the objectives that are as they were go on, the others begin. A period of another length begins anew."""
    if kept is None or begun is None or kept.period_s != begun.period_s:
        return begun
    found = {
        name: msgspec.structs.replace(kept.objectives[name], target=each.target) if name in kept.objectives else each
        for name, each in begun.objectives.items()
    }
    return msgspec.structs.replace(kept, objectives=found)


def _windows(pair: Pair, period_s: float) -> tuple[float, float]:
    """The long and the short window of a pair in s, for a period: in proportion to it, neither too short to hold
    anything nor longer than the workbook's."""
    scale = min(1.0, period_s / MONTH_S)
    return max(pair.least_long_s, pair.long_s * scale), max(pair.least_short_s, pair.short_s * scale)


def update(state: SlaBook, new: Counts) -> tuple[SlaBook, list[SlaState]]:
    """Count, and tell how each objective stands at `new.at_s`. A clock that was set back counts as standing still."""
    at_s = max(state.latest_s, new.at_s)
    kept = {}
    for name, objective in state.objectives.items():
        valid = new.valid.get(name, 0)
        bad = valid - new.good.get(name, 0)
        kept[name] = Objective(
            target=objective.target,
            period=_counted(objective.period, at_s, valid, bad),
            pairs=tuple(_counted(ring, at_s, valid, bad) for ring in objective.pairs),
        )
    began_s = at_s if state.began_s is None else state.began_s
    later = SlaBook(period_s=state.period_s, objectives=kept, began_s=began_s, latest_s=at_s)
    return later, [_stands(name, objective, later) for name, objective in kept.items()]


def _counted(ring: Ring, at_s: float, valid: int, bad: int) -> Ring:
    number = math.floor(at_s / ring.width_s)
    buckets = [each for each in ring.buckets if each[0] > number - _BUCKETS]
    if buckets and buckets[-1][0] == number:
        _, valid_before, bad_before = buckets.pop()
        valid, bad = valid + valid_before, bad + bad_before
    return Ring(ring.width_s, (*buckets, (number, valid, bad)))


def _seen(ring: Ring, at_s: float, window_s: float) -> tuple[int, int]:
    """(valid, bad) of the last `window_s`, to a bucket."""
    first = math.floor((at_s - window_s) / ring.width_s) + 1
    inside = [each for each in ring.buckets if each[0] >= first]
    return sum(valid for _, valid, _ in inside), sum(bad for _, _, bad in inside)


def _stands(name: str, objective: Objective, book: SlaBook) -> SlaState:
    valid, bad = _seen(objective.period, book.latest_s, book.period_s)
    share = bad / valid if valid else None
    pairs = zip(PAIRS, objective.pairs, strict=True)
    return SlaState(
        objective=name,
        target_ratio=objective.target,
        compliance=None if share is None else 1 - share,
        budget_left=None if share is None else _budget_left(share, objective, book),
        burn={pair.name: _burn(pair, ring, objective, book) for pair, ring in pairs},
    )


def _budget_left(share: float, objective: Objective, book: SlaBook) -> float | None:
    """Of what may be bad in the whole period, if as much is asked as until now. Where nothing may be bad there is no
    budget: 1, and after the first bad one None."""
    allowed = 1 - objective.target
    if allowed <= 0:
        return None if share else 1.0
    watched_s = book.latest_s - (book.latest_s if book.began_s is None else book.began_s)
    return 1 - share / allowed * min(1.0, max(watched_s, _BEGINNING_S) / book.period_s)


def _burn(pair: Pair, ring: Ring, objective: Objective, book: SlaBook) -> Burn:
    """Where an objective allows so much that no burn could reach the limit, nine tenths of all being bad are enough."""
    long_s, short_s = _windows(pair, book.period_s)
    allowed = max(1e-9, 1 - objective.target)
    limit = min(pair.limit, _REACHABLE / allowed)
    valid, bad = _seen(ring, book.latest_s, long_s)
    long = bad / valid / allowed if valid >= _FEWEST_LONG else None
    valid_lately, bad_lately = _seen(ring, book.latest_s, short_s)
    short = bad_lately / valid_lately / allowed if valid_lately >= _FEWEST_SHORT else None
    burning = long is not None and short is not None and bad >= _FEWEST_BAD and long >= limit and short >= limit
    return Burn(long=long, short=short, limit=limit, burning=burning, long_s=long_s, short_s=short_s)
