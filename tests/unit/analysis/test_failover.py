"""Outages of two providers that were watched side by side: together, apart, or too few to say."""

from __future__ import annotations

import msgspec
import numpy as np
from made_results import made, reliability, summary

from analysis.deciding.failover import fail_overs
from analysis.summary import Outage, Provider, Summary

HOUR_S = 3600.0


def watched(run: str, target: str, spans: list[tuple[float, float]], started: str = "2026-01-01T00:00:00Z") -> Summary:
    """A run of ten hours in which a target was down in these spans."""
    outages = tuple(Outage(start_s=begin, end_s=end, failures=3) for begin, end in spans)
    found = reliability(900, 1000, outages=outages, watched=((0.0, 10 * HOUR_S),), watched_s=10 * HOUR_S)
    provider = Provider(target=target, reliability=found)
    return summary(made(target), run=run, started_utc=started, providers=(provider,))


def spans(seed: int, count: int = 20) -> list[tuple[float, float]]:
    starts = np.sort(np.random.default_rng(seed).uniform(0, 10 * HOUR_S - 60, count))
    return [(float(at), float(at) + 60.0) for at in starts]


def test_outages_at_the_same_time_are_correlated() -> None:
    own = spans(1)
    (found,) = fail_overs([watched("a", "x", own), watched("b", "y", own)], ("a", "x"), several=True)
    assert (found.verdict, found.outages, found.together) == ("correlated", 20, 20)
    assert found.p_value is not None and found.p_value < 0.01


def test_outages_of_their_own_are_not() -> None:
    verdicts = []
    for seed in range(20):
        runs = [watched("a", "x", spans(seed)), watched("b", "y", spans(100 + seed))]
        verdicts.append(fail_overs(runs, ("a", "x"), several=True)[0].verdict)
    assert verdicts.count("not correlated") >= 17
    assert verdicts.count("correlated") <= 3


def test_the_axis_is_the_time_of_day() -> None:
    """The same spans after its own beginning, but an hour later."""
    later = watched("b", "y", [(at, end) for at, end in spans(1) if at < 9 * HOUR_S], "2026-01-01T01:00:00Z")
    (found,) = fail_overs([watched("a", "x", spans(1)), later], ("a", "x"), several=True)
    assert found.watched_s == 9 * HOUR_S
    assert found.verdict != "correlated"


def test_runs_that_do_not_tell_when_they_began_say_nothing() -> None:
    """Both clocks begin at zero, so the same spans would look like the same moments."""
    own = spans(1)
    for began in ((None, None), (None, "2026-01-01T00:00:00Z"), ("yesterday", None)):
        a, b = (
            msgspec.structs.replace(watched(run, target, own), started_utc=when)
            for run, target, when in zip("ab", "xy", began, strict=True)
        )
        (found,) = fail_overs([a, b], ("a", "x"), several=True)
        assert (found.verdict, found.watched_s) == ("unknown", 0.0)
        assert "does not tell when it began" in found.says


def test_few_outages_say_nothing() -> None:
    (found,) = fail_overs([watched("a", "x", spans(1, 3)), watched("b", "y", spans(1, 3))], ("a", "x"), several=True)
    assert found.verdict == "unknown" and "too few" in found.says


def test_never_watched_together_says_nothing() -> None:
    later = watched("b", "y", spans(2), "2026-01-02T00:00:00Z")
    (found,) = fail_overs([watched("a", "x", spans(1)), later], ("a", "x"), several=True)
    assert (found.verdict, found.watched_s) == ("unknown", 0.0)
    assert "never watched at the same time" in found.says
