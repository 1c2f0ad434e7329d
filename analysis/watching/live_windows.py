"""Sliding windows over the samples of a run under way: their figures are those of `analysis/metrics.py`.

A window of `w` seconds at time t holds the attempts that ended after t - w and not after t: one that is under way is in
no journal. Its tokens are those of these attempts, whenever they arrived. Everything else is defined, and computed, by
`analysis/metrics.py` and `analysis/quantiles.py`.

Memory is bounded: where a window would hold more than `MOST_ROWS` attempts or `MOST_GAPS` gaps, a part of them is kept
that is drawn by a hash of their names (so a restart keeps the same ones), and the window says how large that part is.
"""

from __future__ import annotations

import functools
import hashlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from analysis.metrics import Window, booked_inside, latencies, meets_slo
from analysis.reading.journals import Batch, batch_of
from analysis.samples import Samples, samples_of
from analysis.summary import Dist
from harness.plan import Slo
from harness.records.monitor_record import WINDOWS_S, Latency
from harness.records.monitor_record import Window as Seen
from harness.sample import Outcome, Sample

MOST_ROWS = 10_000
MOST_GAPS = 1_000_000
_S = 1_000_000_000
_SLOTS = 20  # a window is held in so many pieces
_LATENCIES = ("ttft_s", "itl_s", "tpot_s", "e2e_s")
_GIVEN_UP = (Outcome.CANCELLED.value, Outcome.DROPPED.value)
_RECOMPUTED = 60  # a window is computed anew after this part of what it holds


@dataclass(frozen=True)
class Ended:
    """An attempt that has ended, and where its clock stands: `anchor_ns` is the wall time of its times' zero."""

    sample: Sample
    anchor_ns: int

    @property
    def at_ns(self) -> int:
        """When it ended, in ns of the wall clock."""
        return self.anchor_ns + self.sample.end_ns

    @functools.cached_property
    def draw(self) -> float:
        """A number in [0, 1) that belongs to the attempt by its name."""
        name = f"{self.sample.worker}/{self.sample.seq}/{self.sample.attempt}".encode()
        return int.from_bytes(hashlib.blake2b(name, digest_size=4).digest(), "big") / 2**32


@dataclass(frozen=True)
class _Piece:
    """Some attempts of a window as columns. `draws` are the numbers of their names, all below `kept`."""

    until_ns: int
    kept: float
    draws: npt.NDArray[np.float64]
    batch: Batch
    anchors: npt.NDArray[np.int64]


@dataclass
class Sliding:
    """One window of one target and workload, of at most `most_rows` attempts and about `most_gaps` gaps."""

    window_s: float
    most_rows: int = MOST_ROWS
    most_gaps: int = MOST_GAPS
    kept: float = 1.0
    _open: list[Ended] = field(default_factory=list)
    _open_gaps: int = 0
    _open_until_ns: int = 0
    _pieces: deque[_Piece] = field(default_factory=deque)
    _counts: dict[int, tuple[Counter[str], Counter[str]]] = field(default_factory=dict)

    def add(self, ended: Ended) -> None:
        """Take in an attempt that has ended. They may come somewhat out of order."""
        outcomes, errors = self._counts.setdefault(ended.at_ns // _S, (Counter(), Counter()))
        outcomes[ended.sample.outcome.value] += 1
        if ended.sample.error_class is not None:
            errors[ended.sample.error_class.value] += 1
        if ended.draw >= self.kept:
            return
        if ended.at_ns >= self._open_until_ns:
            self._close()
            step_ns = self.length_ns // _SLOTS
            self._open_until_ns = (ended.at_ns // step_ns + 1) * step_ns
        self._open.append(ended)
        self._open_gaps += max(0, len(ended.sample.event_ns) - 1)
        if len(self._open) > self.most_rows // 2 or self._open_gaps > self.most_gaps // 2:
            self._close()

    @property
    def length_ns(self) -> int:
        """How long it is."""
        return round(self.window_s * _S)

    def figures(self, now_ns: int, since_ns: int, slo: Slo) -> Seen:
        """What the window holds now. `since_ns`: since when attempts are known of; rates divide by what is watched."""
        self._forget(now_ns)
        begin_ns = now_ns - self.length_ns
        watched_s = (now_ns - max(begin_ns, min(since_ns, now_ns))) / _S
        pieces = [*self._pieces, *([_piece_of(self._open, now_ns, self.kept)] if self._open else [])]
        kept = min((piece.kept for piece in pieces), default=self.kept)
        window = _window(pieces, kept, begin_ns, now_ns)
        outcomes, errors = self._exact(now_ns) if kept < 1 else _counted(window)
        return seen_of(window, slo, outcomes, errors, (self.window_s, watched_s), kept)

    def _exact(self, now_ns: int) -> tuple[Counter[str], Counter[str]]:
        """By whole seconds."""
        first, last = (now_ns - self.length_ns) // _S, now_ns // _S
        inside = [both for second, both in self._counts.items() if first < second <= last]
        return sum((each[0] for each in inside), Counter()), sum((each[1] for each in inside), Counter())

    def _forget(self, now_ns: int) -> None:
        """Let go of what has left the window; keep a larger part again where there is room."""
        begin_ns = now_ns - self.length_ns
        self._pieces = deque(piece for piece in self._pieces if piece.until_ns > begin_ns)
        self._open = [ended for ended in self._open if ended.at_ns > begin_ns]
        for second in [each for each in self._counts if (each + 1) * _S <= begin_ns]:
            del self._counts[second]
        if self.kept < 1 and 4 * self._rows() < self.most_rows and 4 * self._gaps() < self.most_gaps:
            self._close()
            self.kept *= 2

    def _close(self) -> None:
        if self._open:
            last_ns = max(ended.at_ns for ended in self._open)
            self._pieces.append(_piece_of(self._open, max(last_ns, self._open_until_ns), self.kept))
        self._open, self._open_gaps = [], 0
        while self._rows() > self.most_rows or self._gaps() > self.most_gaps:
            self.kept /= 2
            self._pieces = deque(_thinned(piece, self.kept) for piece in self._pieces)

    def _rows(self) -> int:
        return len(self._open) + sum(piece.batch.rows for piece in self._pieces)

    def _gaps(self) -> int:
        return self._open_gaps + sum(len(piece.batch.gaps) for piece in self._pieces)


def _piece_of(rows: Sequence[Ended], until_ns: int, kept: float) -> _Piece:
    draws = np.array([ended.draw for ended in rows])
    anchors = np.array([ended.anchor_ns for ended in rows], np.int64)
    piece = _Piece(until_ns, kept, draws, batch_of([ended.sample for ended in rows]), anchors)
    return _thinned(piece, kept) if kept < 1 else piece


def _thinned(piece: _Piece, kept: float) -> _Piece:
    """The part of a piece whose numbers are below `kept`."""
    if piece.kept <= kept and (piece.draws < kept).all():
        return piece
    flags, batch = piece.draws < kept, piece.batch
    numbers = {name: values[flags] for name, values in batch.numbers.items()}
    categories = {name: (texts, codes[flags]) for name, (texts, codes) in batch.categories.items()}
    gaps = batch.gaps[np.repeat(flags, np.maximum(batch.numbers["events"] - 1, 0))]
    whole = replace(batch, numbers=numbers, categories=categories, gaps=gaps)
    return _Piece(piece.until_ns, min(kept, piece.kept), piece.draws[flags], whole, piece.anchors[flags])


def _window(pieces: Sequence[_Piece], kept: float, begin_ns: int, end_ns: int) -> Window | None:
    """The attempts that ended after `begin_ns` and not after `end_ns`; None: there are none."""
    chosen = [_thinned(piece, kept) for piece in pieces]
    if not sum(piece.batch.rows for piece in chosen):
        return None
    samples = samples_of([(piece.batch, piece.anchors) for piece in chosen if piece.batch.rows])
    return window_of_ended(samples, begin_ns, end_ns)


def window_of_ended(samples: Samples, begin_ns: int, end_ns: int) -> Window | None:
    """The window of what ended after `begin_ns` and not after `end_ns`, in ns of the wall clock; None: nothing did."""
    begin, end = begin_ns - samples.origin_wall_ns, end_ns - samples.origin_wall_ns
    ended = samples.on_axis("end_ns")
    inside = np.flatnonzero((ended > begin) & (ended <= end))
    return Window(1, samples, inside, inside, float(begin), float(begin), float(end)) if len(inside) else None


def _counted(window: Window | None) -> tuple[Counter[str], Counter[str]]:
    if window is None:
        return Counter(), Counter()
    table = window.samples.table.iloc[window.inside]
    outcomes, errors = (table[name].value_counts() for name in ("outcome", "error_class"))
    return tuple(Counter({str(k): int(n) for k, n in each.items() if n}) for each in (outcomes, errors))  # type: ignore[return-value]


def seen_of(
    window: Window | None,
    slo: Slo,
    outcomes: Mapping[str, int],
    errors: Mapping[str, int],
    spans_s: tuple[float, float],
    kept: float = 1.0,
) -> Seen:
    """The record of a window. `outcomes` and `errors` count all of its attempts, of which `window` holds a part `kept`;
    `spans_s`: its length, and how much of that was watched."""
    attempted = sum(outcomes.values()) - outcomes.get(Outcome.DROPPED, 0)
    judged = sum(n for outcome, n in outcomes.items() if outcome not in _GIVEN_UP)
    ok, length_s = outcomes.get(Outcome.OK, 0), spans_s[1]
    found = {} if window is None else latencies([window], _LATENCIES)[0]
    part = 0.0 if window is None else len(window.good)
    scale = ok / part if part else 1.0  # 1 where nothing was thinned out
    good = 0.0 if window is None else meets_slo(window, slo) * scale
    tokens = None if window is None else _tokens(window)
    sizes = sum(outcomes.values()) / len(window.inside) if window is not None and kept < 1 else 1.0
    return Seen(
        window_s=spans_s[0],
        since_s=length_s,
        attempted=attempted,
        outcomes=dict(sorted(outcomes.items())),
        errors=dict(sorted(errors.items())),
        completed_rps=_per(ok, length_s),
        goodput_rps=_per(good, length_s),
        output_tokens_per_s=None if tokens is None else _per(tokens * sizes, length_s),
        error_ratio=_per(judged - ok, judged),
        throttled_ratio=_per(outcomes.get(Outcome.THROTTLED, 0), judged),
        **{name: _latency(found.get(name)) for name in _LATENCIES},
        thinned=None if kept >= 1 else kept,
    )


def _tokens(window: Window) -> float | None:
    """All output tokens of the attempts inside: those of `booked_inside`, of a window that begins before any."""
    return booked_inside(replace(window, begin_ns=-np.inf, end_ns=np.inf))


def _per(value: float, count: float) -> float | None:
    return value / count if count > 0 else None


def _latency(dist: Dist | None) -> Latency | None:
    return None if dist is None else Latency(n=dist.n, p50=dist.p50, p95=dist.p95, p99=dist.p99)


@dataclass
class CellWindows:
    """The windows of one target and workload, watched since `since_ns`. The long ones are computed anew only now and
    then."""

    since_ns: int
    slo: Slo
    newest_ns: int | None = None
    _windows: dict[str, Sliding] = field(
        default_factory=lambda: {name: Sliding(length_s) for name, length_s in WINDOWS_S.items()}
    )
    _seen: dict[str, tuple[int, Seen]] = field(default_factory=dict)

    def add(self, ended: Ended) -> None:
        """Take in an attempt that has ended."""
        self.newest_ns = ended.at_ns if self.newest_ns is None else max(self.newest_ns, ended.at_ns)
        for window in self._windows.values():
            window.add(ended)

    def figures(self, now_ns: int, *, anew: bool = False) -> dict[str, Seen]:
        """Every window by its name, older by at most a sixtieth of the time that it holds; `anew`: as of now."""
        for name, window in self._windows.items():
            at_ns = self._seen[name][0] if name in self._seen else None
            held_ns = min(window.length_ns, now_ns - self.since_ns)  # a short one and a young long one hold the same
            if anew or at_ns is None or not 0 <= now_ns - at_ns < held_ns // _RECOMPUTED:
                self._seen[name] = (now_ns, window.figures(now_ns, self.since_ns, self.slo))
        return {name: seen for name, (_, seen) in self._seen.items()}
