"""Outages end to end: three simulated providers that fail by a script, found again in the samples, and in Locust's CSV.

`TOKENSWARM_RELIABILITY_S` (seconds a target) makes it longer: `make test-reliability` takes ten minutes and a half.
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import BIN, FINISHED

from analysis.locust_csv import summarise_csv
from analysis.summarise import summarise
from analysis.summary import Reliability, Summary
from analysis.wording import estimate, share
from harness.rundir import RunDir
from harness.sample import Header, Sample, decode
from harness.simulator.outages import outage_file, read_outages

RATE_RPS = 20.0
GAP_S = 1 / RATE_RPS
LENGTH_S = float(os.environ.get("TOKENSWARM_RELIABILITY_S", "12"))
LONG = LENGTH_S > 60
KINDS = ("status_503", "refuse", "timeout")
SHORT = {"start_s": 1, "duration_s": 2, "every_s": 6}
LEAST_S = 2.0  # each time of the long script is this and an exponential one: the CSV tells by the second
UP_S, REPAIR_S = 13.0, 2.0
TIMEOUT_S = 1.5
SEEN_S = {"samples": 5 * GAP_S, "csv": 1.5}  # of an outage cut by the end of a watch, what must lie in it to be seen
pytestmark = [pytest.mark.alone, pytest.mark.timeout(int(4 * LENGTH_S + 200))]  # edges are judged by milliseconds
Span = tuple[float, float]


def _faults(kind: str) -> list[dict[str, Any]]:
    """Outages every six seconds; or of random up and repair times."""
    if not LONG:
        return [{"kind": kind, **SHORT}]
    rng, at_s, faults = random.Random(f"script/{kind}"), 0.0, []
    while at_s < 3 * LENGTH_S + 60:
        at_s += LEAST_S + rng.expovariate(1 / UP_S)
        length_s = LEAST_S + rng.expovariate(1 / REPAIR_S)
        faults.append({"kind": kind, "start_s": round(at_s, 3), "duration_s": round(length_s, 3)})
        at_s += length_s
    return faults


def _plan() -> dict[str, Any]:
    providers = {kind: {"dialects": ["openai-chat"], "faults": _faults(kind)} for kind in KINDS}
    targets = [{"name": kind, "dialect": "openai-chat", "base_url": f"sim://{kind}", "model": "m"} for kind in KINDS]
    return {
        "name": "outages",
        "repeats": 1,
        "warmup_s": 0,
        "targets": targets,
        "workload": {"name": "chat", "input_tokens": 20, "output_tokens": 10},
        "stages": [{"rate_rps": RATE_RPS, "duration_s": LENGTH_S}],
        "timeouts": {"connect_s": TIMEOUT_S, "read_s": TIMEOUT_S, "total_s": 10},
        "simulator": {"providers": providers},
    }


@dataclass(frozen=True)
class Done:
    """A run; when its first request was sent, on the wall clock; and in seconds after that the outages of its
    simulator's script and when each target's requests were sent."""

    run_dir: Path
    summary: Summary
    first_wall_s: float
    script: dict[str, list[Span]]
    sent_s: dict[str, np.typing.NDArray[np.float64]]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The one run that all tests here look at."""
    folder = tmp_path_factory.mktemp("outages")
    (folder / "plan.yaml").write_text(yaml.safe_dump(_plan()))
    command = [str(BIN / "tokenswarm"), "run", "plan.yaml"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=4 * LENGTH_S + 150, check=False)
    assert ran.returncode in FINISHED, ran.stderr
    return _read(folder / ran.stdout.splitlines()[-1])


def _read(run_dir: Path) -> Done:
    (journal,) = run_dir.glob("journal/*.jsonl")
    header, *lines = map(decode, journal.read_bytes().splitlines(keepends=True))
    assert isinstance(header, Header)
    samples = [line for line in lines if isinstance(line, Sample)]
    first_ns = min(each.start_ns for each in samples if each.start_ns is not None)
    script: dict[str, list[Span]] = {kind: [] for kind in KINDS}
    for outage in read_outages(outage_file(run_dir / "truth.jsonl")):
        begin, end = (((ns or 0) - header.mono_ns - first_ns) / 1e9 for ns in (outage.begin_ns, outage.end_ns))
        script[outage.provider].append((begin, end))
    starts = {kind: [each.start_ns - first_ns for each in samples if each.target == kind and each.start_ns is not None]
              for kind in KINDS}  # fmt: skip
    sent_s = {kind: np.sort(np.array(found)) / 1e9 for kind, found in starts.items()}
    return Done(run_dir, summarise(RunDir(run_dir))[0], (header.wall_ns + first_ns) / 1e9, script, sent_s)


def _of(summary: Summary, target: str) -> Reliability:
    (found,) = [result.reliability for result in summary.results if result.target == target]
    assert found is not None
    return found


def _within(spans: list[Span], watch: Span) -> list[Span]:
    """What of some spans lies in a watch."""
    cut = [(max(watch[0], begin), min(watch[1], end)) for begin, end in spans]
    return [(begin, end) for begin, end in cut if begin < end]


def _edges(found: Reliability, script: list[Span], least_s: float) -> list[Span]:
    """Each edge as measured and as scripted. Every outage of the script is there, and no other; one of which less than
    `least_s` lies in the watch may be missing."""
    (watch,) = found.watched
    seen = [(each.start_s, watch[1] if each.end_s is None else each.end_s) for each in found.outages]
    expected = _within(script, watch)
    if len(seen) < len(expected):
        expected = [(begin, end) for begin, end in expected if end - begin > least_s]
    assert len(seen) == len(expected) >= 2
    return list(zip(itertools.chain(*seen), itertools.chain(*expected), strict=True))


def _tell(found: Reliability, edges: list[Span], what: str) -> float:
    """The largest error of an edge, in seconds."""
    off_s = max(abs(measured - true) for measured, true in edges)
    text = f"{what}: {len(edges) // 2} outages, edges off by {1000 * off_s:.0f} ms at most"
    text += f", MTBF {estimate(found.mtbf_s)}, MTTR {estimate(found.mttr_s)}, available {share(found.availability)}"
    print(text)  # noqa: T201  (what the long test is run for)
    return off_s


def _assert_means(found: Reliability, script: list[Span]) -> None:
    """The intervals hold the script's own MTBF and MTTR in the time that was watched."""
    (watch,) = found.watched
    inside = _within(script, watch)
    begun = [begin for begin, _ in script if watch[0] < begin < watch[1]]
    ended = [end for _, end in script if watch[0] < end < watch[1]]
    down_s = sum(end - begin for begin, end in inside)
    mtbf_s, mttr_s = (watch[1] - watch[0] - down_s) / len(begun), down_s / len(ended)
    for measured, true_s in ((found.mtbf_s, mtbf_s), (found.mttr_s, mttr_s)):
        assert measured.ci95 is not None
        low, high = measured.ci95
        assert low is not None and high is not None and low <= true_s <= high


@pytest.mark.parametrize("kind", KINDS)
def test_samples_tell_every_outage_and_its_edges_within_a_gap(done: Done, kind: str) -> None:
    """The gap is the one in which the edge lies, as it was sent: a busy machine sends late."""
    found, sent_s = _of(done.summary, kind), done.sent_s[kind]
    assert found.resolution_s == pytest.approx(GAP_S, rel=0.02)
    edges = _edges(found, done.script[kind], SEEN_S["samples"])
    _tell(found, edges, f"{kind}, samples")
    for measured, true in edges:
        place = int(np.clip(np.searchsorted(sent_s, true), 1, len(sent_s) - 1))
        assert abs(measured - true) <= sent_s[place] - sent_s[place - 1] + 0.01  # and the way to the simulator
    _assert_means(found, done.script[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_the_history_alone_tells_them_within_two_seconds(done: Done, kind: str) -> None:
    """The times of its rows are whole seconds, cut off: the first was written half a second later, on average. By so
    much may the test itself be wrong."""
    history = pd.read_csv(done.run_dir / "locust_stats_history.csv")
    first_s = float(history["Timestamp"].iloc[0]) + 0.5 - done.first_wall_s
    script = [(begin - first_s, end - first_s) for begin, end in done.script[kind]]
    found = _of(summarise_csv(done.run_dir / "locust"), f"{kind} chat")
    assert _tell(found, _edges(found, script, SEEN_S["csv"]), f"{kind}, CSV") <= 2.0 + 0.5
    _assert_means(found, script)
