"""`python -m benchmarks.live_proofs`: what is promised of the watch for degradation, on traffic whose truth is known.

Days and minutes in virtual time: days of a steady simulator (its own draws, load and clock,
`harness.simulator.offline`) and days of providers with the noise of `benchmarks.live_traffic`, in which nothing may be
told; then shifts that are planted at a random moment. `--first` chooses other seeds than those that the settings were
tuned with.
"""

from __future__ import annotations

import copy
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import click
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import stats

from analysis.watching.degradation import DegradationState, begin, update
from analysis.watching.slices import Slice, slice_of
from benchmarks.live_traffic import Change, Noise, Provider, Traffic
from harness.cells import Cell, cells
from harness.live.margin import tpot_ns_of
from harness.plan import Plan
from harness.plan_file import plan_of
from harness.records.monitor_record import Shift
from harness.sample import Outcome, Sample
from harness.simulator.config import config_from
from harness.simulator.offline import Client, World

NOISY = Noise()
DAY = 2880  # slices of 30 s
SLICE_S = 30.0
RATES = (0.05, 1.0, 10.0, 50.0)  # of the targets that are watched together
Planted = dict[str, tuple[str, Change]]  # by what is said of it: the metric that must tell, and the change
PLANTED: Planted = {
    "TTFT +20 %": ("ttft", Change(0.0, ttft=1.2)),
    "ITL +15 %": ("itl", Change(0.0, itl=1.15)),
    "errors 0.5 -> 3 %": ("error_ratio", Change(0.0, errors=0.03)),
}
LARGER: Planted = {
    "TTFT +50 %": ("ttft", Change(0.0, ttft=1.5)),
    "ITL +40 %": ("itl", Change(0.0, itl=1.4)),
    "errors 0.5 -> 10 %": ("error_ratio", Change(0.0, errors=0.10)),
}
WITHIN_S, WANTED = 300.0, 0.95
Key = tuple[str, str, str]
T = TypeVar("T")


def episodes(state: DegradationState, slices: Iterable[Slice]) -> Counter[Key]:
    """How often each shift was newly confirmed."""
    begun: Counter[Key] = Counter()
    now: set[Key] = set()
    for each in slices:
        state, shifts = update(state, each)
        before, now = now, confirmed(shifts)
        begun.update(now - before)
    return begun


def confirmed(shifts: Iterable[Shift]) -> set[Key]:
    """What is told as a degradation."""
    return {(each.metric, each.kind, each.against) for each in shifts if each.confirmed}


def noisy_day(seed: int, noise: Noise = NOISY) -> Counter[Key]:
    """A day of targets of all `RATES`, each with a noise of its own: what was told of any."""
    told: Counter[Key] = Counter()
    for place, rate_rps in enumerate(RATES):
        traffic = Traffic(Provider(rate_rps), noise, seed * 100 + place)
        told += episodes(begin(), (traffic.next() for _ in range(DAY)))
    return told


def simulated_day(seed: int, rate_rps: float = 1.0) -> Counter[Key]:
    """A day of the simulator with nothing changed, in cells of five minutes that differ by 1 %."""
    return episodes(begin(), simulated(seed, rate_rps, lambda _: "steady", hours=24))


def simulated_shift(seed: int, metric: str) -> float | None:
    """How long after the simulator changed, two hours on, it was told; None within a quarter of an hour: never."""
    slices = simulated(seed, 5.0, lambda at_s: "steady" if at_s < 7200 else metric, hours=2.25)
    state = begin()
    for number, each in enumerate(slices):
        state, shifts = update(state, each)
        after_s = (number + 1) * SLICE_S - 7200
        if after_s > 0 and any(key[0] == metric for key in confirmed(shifts)):
            return after_s
    return None


def simulated(seed: int, rate_rps: float, which: Callable[[float], str], hours: float) -> Iterator[Slice]:
    """Slices of the simulator's own virtual time. `which` provider is asked at a time: steady, ttft or itl."""
    span_s = 300.0
    plan = plan_of(_document(rate_rps, span_s, seed), "live-proofs")
    by_name = {each.target.name: each for each in cells(plan, 1)}
    world = World(config_from(_providers(seed)), Client(drift=0.01, memory=0.5), "proof")
    for number in range(int(hours * 3600 / span_s)):
        cell = by_name[which(number * span_s)]
        yield from _cut(_samples(world, cell, plan, number + 1), number * span_s, span_s)


def _samples(world: World, cell: Cell, plan: Plan, number: int) -> list[Sample]:
    return world.play(cell, plan, number, world.now_s)


def _cut(samples: Sequence[Sample], begin_s: float, span_s: float) -> Iterator[Slice]:
    """By the time of their end; what ends after the cell counts to its last slice."""
    parts: list[list[Sample]] = [[] for _ in range(int(span_s / SLICE_S))]
    for sample in samples:
        parts[min(len(parts) - 1, int(sample.end_ns / 1e9 / SLICE_S))].append(sample)
    for number, part in enumerate(parts):
        yield _slice(begin_s + (number + 1) * SLICE_S, part)


def _slice(at_s: float, samples: Sequence[Sample]) -> Slice:
    good = [each for each in samples if each.outcome is Outcome.OK and each.event_ns and each.start_ns is not None]
    starts = np.array([each.start_ns or 0 for each in good], dtype=np.float64)
    tpots = (tpot_ns_of(each) for each in good)
    gaps = [np.diff(np.array(each.event_ns, dtype=np.float64)) for each in good]
    values = {
        "ttft": (np.array([each.event_ns[0] for each in good]) - starts) / 1e9,
        "e2e": (np.array([each.end_ns for each in good]) - starts) / 1e9,
        "tpot": np.array([np.nan if each is None else each / 1e9 for each in tpots], dtype=np.float64),
        "itl": np.concatenate(gaps) / 1e9 if gaps else np.empty(0),
    }
    throttled = sum(each.outcome is Outcome.THROTTLED for each in samples)
    failed = len(samples) - throttled - sum(each.outcome is Outcome.OK for each in samples)
    return slice_of(
        1_767_225_600.0 + at_s,
        SLICE_S,
        judged=len(samples),
        failed=failed,
        throttled=throttled,
        values_s=values,
        requests={"itl": len(good)},
    )


def _providers(seed: int) -> dict[str, object]:
    ttft, itl = (
        {"kind": "lognormal", "median_s": 0.5, "sigma": 0.3},
        {"kind": "lognormal", "median_s": 0.02, "sigma": 0.3},
    )
    steady = {"dialects": ["openai-chat"], "ttft": ttft, "itl": itl}
    return {
        "seed": seed,
        "providers": {
            "steady": steady,
            "ttft": steady | {"ttft": ttft | {"median_s": 0.6}},
            "itl": steady | {"itl": itl | {"median_s": 0.023}},
        },
    }


def _document(rate_rps: float, span_s: float, seed: int) -> dict[str, object]:
    target = {"dialect": "openai-chat", "model": "m"}
    return {
        "name": "live-proofs",
        "seed": seed,
        "warmup_s": 0,
        "targets": [target | {"name": name, "base_url": f"sim://{name}"} for name in ("steady", "ttft", "itl")],
        "workload": {"kind": "chat", "input_tokens": 100, "output_tokens": 8, "stream": True},
        "stages": [{"rate_rps": rate_rps, "arrival": "poisson", "duration_s": span_s, "max_in_flight": 500}],
    }


@dataclass(frozen=True)
class Found:
    """How long after it was planted each shift was told (None: not in the time given), by what is said of it; and how
    often anything was told before."""

    after_s: dict[str, float | None]
    early: int


def planted(seed: int, rate_rps: float, changes: Planted, minutes: int, noise: Noise = NOISY) -> Found:
    """Plant each of some changes at the same random moment of a provider that was watched for two to three hours."""
    rng = np.random.default_rng(seed)
    traffic = Traffic(Provider(rate_rps), noise, seed)
    state, early = begin(), 0
    for _ in range(int(rng.integers(240, 360)) if rate_rps >= 1 else DAY):
        state, shifts = update(state, traffic.next())
        early += bool(confirmed(shifts))
    shift_s = float(rng.uniform(0, SLICE_S))
    found = {said: _found(traffic, state, *each, shift_s, minutes) for said, each in changes.items()}
    return Found(found, early)


def _found(
    traffic: Traffic, state: DegradationState, metric: str, change: Change, shift_s: float, minutes: int
) -> float | None:
    at = traffic.at_s + shift_s
    changed = copy.deepcopy(traffic)
    changed.changes = (Change(at, ttft=change.ttft, itl=change.itl, errors=change.errors),)
    for number in range(minutes * 2 + 1):
        state, shifts = update(state, changed.next())
        if any(key[0] == metric for key in confirmed(shifts)):
            return (number + 1) * SLICE_S - shift_s
    return None


def rate_within(times: Sequence[float | None], within_s: float = WITHIN_S) -> float:
    """The part of the trials in which it was told in time."""
    return sum(each is not None and each <= within_s for each in times) / len(times)


def _run(pool: ProcessPoolExecutor, trial: Callable[[int], T], seeds: range, what: str) -> list[T]:
    console = Console(stderr=True)
    return list(track(pool.map(trial, seeds), what, total=len(seeds), console=console))


Row = tuple[str, str, bool]


def calm(pool: ProcessPoolExecutor, first: int, days: int, simulated_days: int) -> Iterator[Row]:
    """No more than one false alarm in any day of the steady simulator; of noisy days, which are many, in the mean."""
    told = _run(pool, simulated_day, range(first, first + simulated_days), "days of the simulator")
    yield _quiet(f"{simulated_days} days of the steady simulator, 1 rps", told)
    told = _run(pool, noisy_day, range(first, first + days), "noisy days")
    yield _seldom(f"{days} days of four noisy targets, {', '.join(f'{rate:g}' for rate in RATES)} rps", told)


def _quiet(what: str, told: Sequence[Counter[Key]]) -> Row:
    each = [sum(day.values()) for day in told]
    names = ", ".join(f"{'/'.join(key)} {n}" for key, n in sum(told, Counter()).items())
    seen = f"worst day {max(each, default=0)}, {sum(each)} in all" + (f" ({names})" if names else "")
    return f"{what}: at most 1 false alarm a day", seen, max(each, default=0) <= 1


def _seldom(what: str, told: Sequence[Counter[Key]]) -> Row:
    """By the upper 95 % bound of a Poisson rate (Garwood 1936): false alarms of one cause come together."""
    _, seen, _ = _quiet(what, told)
    most = float(stats.chi2.ppf(0.95, 2 * sum(sum(day.values()) for day in told) + 2) / 2 / max(1, len(told)))
    return f"{what}: at most 1 false alarm a day in the mean", f"{seen}: at most {most:.2f} a day (95 %)", most <= 1


def shifts_found(pool: ProcessPoolExecutor, first: int, trials: int, simulated_trials: int) -> Iterator[Row]:
    """Planted shifts within five minutes."""
    for said, (metric, _) in list(PLANTED.items())[:2]:  # the simulator without sockets knows no faults
        trial = partial(simulated_shift, metric=metric)
        times = _run(pool, trial, range(first, first + simulated_trials), f"{said} of the simulator")
        yield _in_time(f"{said}, the simulator at 5 rps", times)
    trial_ = partial(planted, rate_rps=10.0, changes=PLANTED, minutes=15)
    found = _run(pool, trial_, range(first, first + trials), "planted shifts")
    for said in PLANTED:
        yield _in_time(f"{said}, noisy target at 10 rps", [each.after_s[said] for each in found])


def _in_time(what: str, times: Sequence[float | None]) -> Row:
    share, known = rate_within(times), [each for each in times if each is not None]
    middle = f"median {np.median(known):.0f} s" if known else "never"
    text = f"{share:.1%} of {len(times)} ({middle})"
    return f"{what}: found within 5 min in 95 %", text, share >= WANTED


def by_rate(pool: ProcessPoolExecutor, first: int, trials: int, rates: Sequence[float]) -> Table:
    """What can be seen how soon at which rate: the part of the trials, within 5, 15 and 60 minutes."""
    table = Table("rps", "shift", "5 min", "15 min", "60 min", title="Found, by rate")
    changes = PLANTED | LARGER
    for rate_rps in rates:
        trial = partial(planted, rate_rps=rate_rps, changes=changes, minutes=60)
        found = _run(pool, trial, range(first, first + trials), f"{rate_rps:g} rps")
        for said in changes:
            times = [each.after_s[said] for each in found]
            table.add_row(f"{rate_rps:g}", said, *(f"{rate_within(times, each * 60.0):.0%}" for each in (5, 15, 60)))
    return table


def by_noise(pool: ProcessPoolExecutor, first: int, trials: int) -> Table:
    """The same at 10 rps under other noise, and how often there was a false alarm."""
    table = Table("noise", *PLANTED, "false alarms", title="Found in 5 min at 10 rps")
    for wander in (0.01, 0.02, 0.04, 0.08):
        trial = partial(planted, rate_rps=10.0, changes=PLANTED, minutes=5, noise=Noise(wander=wander))
        found = _run(pool, trial, range(first, first + trials), f"wander {wander:.1%}")
        shares = [f"{rate_within([each.after_s[said] for each in found]):.0%}" for said in PLANTED]
        table.add_row(f"{wander:.1%} from minute to minute", *shares, str(sum(each.early > 0 for each in found)))
    return table


@click.command()
@click.option("--first", default=1000, show_default=True, help="The first seed.")
@click.option("--days", default=30, show_default=True, help="Noisy days, of four targets each.")
@click.option("--trials", default=200, show_default=True, help="Planted shifts of each kind.")
@click.option("--simulated", "simulated_", default=3, show_default=True, help="Days of the simulator; ten trials each.")
@click.option("--tables/--no-tables", default=False, help="Also what is found by rate and by noise.")
@click.option("--jobs", default=None, type=int, help="Processes.")
def main(*, first: int, days: int, trials: int, simulated_: int, tables: bool, jobs: int | None) -> None:
    """Print promise, what was seen, and whether it was kept; exit with 1 unless all are."""
    console = Console(width=150)
    table = Table("promise", "seen", "kept", title=f"What is promised of the watch for degradation, seeds from {first}")
    whole = True
    with ProcessPoolExecutor(jobs) as pool:
        for rows in (calm(pool, first, days, simulated_), shifts_found(pool, first, trials, simulated_ * 10)):
            for promise, seen, kept in rows:
                table.add_row(promise, seen, "yes" if kept else "[bold]no[/bold]")
                whole &= kept
        console.print(table)
        if tables:
            console.print(by_rate(pool, first, max(20, trials // 5), (0.05, 0.5, 2.0, 5.0, 20.0)))
            console.print(by_noise(pool, first, max(20, trials // 4)))
    sys.exit(0 if whole else 1)


if __name__ == "__main__":
    main()
