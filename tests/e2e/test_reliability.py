"""Outages end to end: three simulated providers that fail by a script, found again in the samples, and in Locust's CSV.

`TOKENSWARM_RELIABILITY_S` (seconds a target) makes it longer: `make test-reliability` takes ten minutes.
"""

from __future__ import annotations

import os
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest
import yaml
from conftest import BIN, FINISHED

from analysis.locust_csv import summarise_csv
from analysis.summary import Reliability, Summary
from analysis.wording import estimate, percent
from harness.sample import Header, Sample, decode
from harness.simulator.outages import outage_file, read_outages

RATE_RPS = 20.0
GAP_S = 1 / RATE_RPS
LENGTH_S = float(os.environ.get("TOKENSWARM_RELIABILITY_S", "12"))
pytestmark = pytest.mark.timeout(int(3 * LENGTH_S + 150))
KINDS = ("status_503", "refuse", "timeout")
UP_S, REPAIR_S = 15.0, 3.0  # of the long script; each time has half a second at least
SHORT = {"start_s": 1, "duration_s": 2, "every_s": 6}
TIMEOUT_S = 1.5
LONG = LENGTH_S > 60
Span = tuple[float, float | None]


def _faults(kind: str) -> list[dict[str, Any]]:
    """Outages every six seconds; or of random up and repair times."""
    if not LONG:
        return [{"kind": kind, **SHORT}]
    rng, at_s, faults = random.Random(f"script/{kind}"), 0.0, []
    while at_s < 3 * LENGTH_S + 60:
        at_s += 0.5 + rng.expovariate(1 / (UP_S - 0.5))
        length_s = 0.5 + rng.expovariate(1 / (REPAIR_S - 0.5))
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
    """A run, the moment on the monotonic clock and that on the wall clock at which its first request was sent, and the
    script of its simulator, in seconds after that moment."""

    run_dir: Path
    summary: Summary
    start_wall_s: float
    script: dict[str, list[Span]]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The one run that all tests here look at."""
    folder = tmp_path_factory.mktemp("outages")
    (folder / "plan.yaml").write_text(yaml.safe_dump(_plan()))
    limit_s = 3 * LENGTH_S + 90
    command = [str(BIN / "tokenswarm"), "run", "plan.yaml"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=limit_s, check=False)
    assert ran.returncode in FINISHED, ran.stderr
    run_dir = folder / ran.stdout.splitlines()[-1]
    (journal,) = run_dir.glob("journal/*.jsonl")
    header, *lines = [decode(line) for line in journal.read_bytes().splitlines(keepends=True)]
    assert isinstance(header, Header)
    first_ns = min(each.start_ns for each in lines if isinstance(each, Sample) and each.start_ns is not None)
    script: dict[str, list[Span]] = {kind: [] for kind in KINDS}
    for outage in read_outages(outage_file(run_dir / "truth.jsonl")):
        begin, end = (((ns or 0) - header.mono_ns - first_ns) / 1e9 for ns in (outage.begin_ns, outage.end_ns))
        script[outage.provider].append((begin, end))
    summary = msgspec.json.decode((run_dir / "summary.json").read_bytes(), type=Summary)
    return Done(run_dir, summary, (header.wall_ns + first_ns) / 1e9, script)


def _clear(script: list[Span], begin_s: float, end_s: float, shortest_s: float) -> list[Span]:
    """The outages of a script as a watch could see them; those of which it saw too little are left out."""
    cut = [(max(begin_s, begin), None if end is None or end > end_s else end) for begin, end in script]
    cut = [(begin, end) for begin, end in cut if begin < end_s and (end is None or end > begin_s)]
    return [(begin, end) for begin, end in cut if (end_s if end is None else end) - begin > shortest_s]


def _of(summary: Summary, target: str) -> Reliability:
    (found,) = [result.reliability for result in summary.results if result.target == target]
    assert found is not None
    return found


def _compare(found: Reliability, script: list[Span], within_s: float, shortest_s: float) -> None:
    """Every outage of the script is found and no other, each edge within so much of the script's."""
    ((begin_s, end_s),) = found.watched
    expected = _clear(script, begin_s, end_s, shortest_s)
    seen = [(each.start_s, each.end_s) for each in found.outages]
    seen = [span for span in seen if (end_s if span[1] is None else span[1]) - span[0] > shortest_s - GAP_S]
    errors = [
        one - other
        for (start, end), (begin, over) in zip(seen, expected, strict=True)
        for one, other in ((start, begin), (end, over))
        if one is not None and other is not None
    ]
    off_s = max(map(abs, errors))
    print(f"\n{len(seen)} outages of {len(script)}, edges off by {off_s * 1000:.0f} ms at most", end=" ")
    print(
        f"MTBF {estimate(found.mtbf_s)}, MTTR {estimate(found.mttr_s)}, available {percent(found.availability.value)}"
    )
    assert off_s <= within_s
    assert [end is None for _, end in seen] == [end is None for _, end in expected]
    for measured, true_s in ((found.mtbf_s, UP_S if LONG else 4.0), (found.mttr_s, REPAIR_S if LONG else 2.0)):
        assert measured.ci95 is not None
        low, high = measured.ci95
        assert (low or 0) <= true_s <= (high or true_s)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_tell_every_outage_and_its_edges_within_a_gap(done: Done, kind: str) -> None:
    found = _of(done.summary, kind)
    assert found.resolution_s == pytest.approx(GAP_S, rel=0.02)
    _compare(found, done.script[kind], GAP_S, 5 * GAP_S)


@pytest.mark.parametrize("kind", KINDS)
def test_the_history_alone_tells_them_within_two_seconds(done: Done, kind: str) -> None:
    """The times of its rows are whole seconds, cut off: the first was written half a second later, on average."""
    history = pd.read_csv(done.run_dir / "locust_stats_history.csv")
    first_s = float(history.loc[history["Name"] == f"{kind} chat", "Timestamp"].iloc[0]) + 0.5 - done.start_wall_s
    script = [(begin - first_s, None if end is None else end - first_s) for begin, end in done.script[kind]]
    _compare(_of(summarise_csv(done.run_dir / "locust"), f"{kind} chat"), script, 2.0, 1.0 if LONG else 1.5)
