"""`python -m benchmarks.promises`: what is promised of runs, tried at full length through the real command.

Open load: the arrivals that were made are the seeded schedule one for one, in time, exponential where they should be;
a constant rate does not drift; a provider that freezes shows in the response time. Healthy runs raise no doubt about
the client, and the demo's figures vary little from repeat to repeat. Against the simulator, some ten minutes in all.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
import numpy as np
import yaml
from rich.console import Console
from rich.table import Table
from scipy import stats

from harness.arrivals import arrivals
from harness.plan import Stage
from harness.sample import Header, Outcome, Sample, decode

_TOKENSWARM = str(Path(sys.executable).parent / "tokenswarm")
_SEED, _RATE_RPS, _SPAN_S, _WORKERS = 3, 200.0, 60.0, 4
_OWN = {"loop-lag", "client-cpu", "late-sends", "ports", "health-cut"}
_CALM = {"name": "p", "dialects": ["openai-chat"], "ttft": 0.05, "itl": 0.01}
_STEADY = ("ttft_s.p50", "ttft_s.p95", "itl_s.p50", "output_tokens_per_s")
_LIMIT_S = 600


class Seen(NamedTuple):
    """One promise, and what was seen of it."""

    promise: str
    saw: str
    kept: bool


def open_plan(stage: dict[str, Any], provider: dict[str, Any]) -> dict[str, Any]:
    """One simulated provider under one open stage."""
    return {
        "name": "promises",
        "seed": _SEED,
        "repeats": 1,
        "warmup_s": 0,
        "targets": [{"name": "sim", "dialect": "openai-chat", "base_url": "sim://p", "model": "m"}],
        "workload": {"kind": "chat", "input_tokens": 20, "output_tokens": 8},
        "stages": [stage],
        "simulator": {"providers": [provider]},
    }


def run(folder: Path, plan: dict[str, Any] | str, *options: str) -> tuple[int, Path]:
    """Exit code and run directory of `tokenswarm run`."""
    if isinstance(plan, dict):
        (folder / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
        plan = "plan.yaml"
    command = [_TOKENSWARM, "run", plan, *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_LIMIT_S, check=False)  # noqa: S603
    if done.returncode not in (0, 3):
        raise RuntimeError(done.stderr)
    return done.returncode, folder / done.stdout.splitlines()[-1]


def summary_of(run_dir: Path) -> dict[str, Any]:
    """What `summary.json` says."""
    found: dict[str, Any] = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
    return found


def samples_of(run_dir: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], list[Sample]]:
    """Due and start times (monotonic seconds; start NaN where it was not sent), in the order of the former."""
    rows = []
    for path in run_dir.glob("journal/*.jsonl"):
        header, *records = map(decode, path.read_bytes().splitlines())
        assert isinstance(header, Header)
        for each in records:
            if isinstance(each, Sample):
                start_s = np.nan if each.start_ns is None else (header.mono_ns + each.start_ns) / 1e9
                rows.append(((header.mono_ns + (each.due_ns or 0)) / 1e9, start_s, each))
    rows.sort(key=lambda row: row[0])
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows]), [row[2] for row in rows]


def poisson(folder: Path) -> Iterator[Seen]:
    """Poisson arrivals over several workers."""
    stage = Stage(rate_rps=_RATE_RPS, arrival="poisson", duration_s=_SPAN_S)
    code, run_dir = run(folder, open_plan(msgspec.to_builtins(stage), _CALM), "--workers", str(_WORKERS))
    due_s, start_s, samples = samples_of(run_dir)
    key = f"{_SEED}/arrivals/default/0/1"
    planned_s = np.array([each.due_ns / 1e9 for each in arrivals(stage, _SPAN_S, key)])
    sent = sum(each.outcome is not Outcome.DROPPED for each in samples)
    same = len(due_s) == len(planned_s) and bool(np.allclose(np.diff(due_s), np.diff(planned_s), atol=1e-4))
    yield Seen("the arrivals of all workers are the one schedule", f"{sent} sent of {len(planned_s)} planned", same)
    lag_s = float(np.nanquantile(start_s - due_s, 0.99))
    yield Seen("lag p99 < 5 ms", f"{lag_s * 1e3:.2f} ms", lag_s < 0.005)
    gaps_s = np.diff(np.sort(start_s[np.isfinite(start_s)]))
    p = float(stats.kstest(gaps_s, stats.expon(scale=1 / _RATE_RPS).cdf).pvalue)
    yield Seen("gaps between sends are exponential (KS, 0.05)", f"p = {p:.2f}", p > 0.05)
    yield Seen("and the run is valid", f"exit code {code}", code == 0)


def constant(folder: Path) -> Iterator[Seen]:
    """A constant rate."""
    stage = {"rate_rps": _RATE_RPS, "duration_s": _SPAN_S}
    _, run_dir = run(folder, open_plan(stage, _CALM), "--workers", str(_WORKERS))
    _, start_s, _ = samples_of(run_dir)
    sent_s = np.sort(start_s[np.isfinite(start_s)])
    rate_rps = 1 / float(stats.linregress(np.arange(len(sent_s)), sent_s).slope)
    drift = abs(rate_rps / _RATE_RPS - 1)
    yield Seen("a constant rate drifts < 0.1 %", f"{rate_rps:.4f}/s, {drift:.5%}", drift < 0.001)


def freeze(folder: Path) -> Iterator[Seen]:
    """A provider that says nothing for 5 s, while few requests may be under way."""
    fault = {"kind": "stall", "after_chunks": 0, "stall_s": 5, "start_s": 4, "duration_s": 1, "every_s": 12}
    stage = {"rate_rps": 40, "duration_s": 20, "max_in_flight": 20, "max_lag_s": 30}
    _, run_dir = run(folder, open_plan(stage, {**_CALM, "faults": [fault]}))
    (result,) = summary_of(run_dir)["results"]
    response_s, service_s, typical_s = result["response_s"]["p90"], result["e2e_s"]["p90"], result["e2e_s"]["p50"]
    saw = f"p90: response {response_s:.2f} s, service {service_s:.2f} s; p50 of service {typical_s:.2f} s"
    shown = response_s > 5 * typical_s and response_s > 3 * service_s
    yield Seen("a freeze of 5 s shows in the response time, though hardly in the service time", saw, shown)


def healthy(folder: Path, runs: int) -> Iterator[Seen]:
    """Runs in which nothing is wrong."""
    alarms = []
    for number in range(runs):
        plan = {**open_plan({"concurrency": 20, "duration_s": 5}, _CALM), "seed": number, "warmup_s": 1}
        code, run_dir = run(folder, plan)
        alarms += [each["saw"] for each in summary_of(run_dir)["validity"]["findings"] if each["code"] in _OWN]
        alarms += [f"exit code {code}"] if code else []
    yield Seen(f"{runs} healthy runs raise no alarm", "; ".join(alarms) or "none", not alarms)


def steady(folder: Path) -> Iterator[Seen]:
    """Five repeats of the demo."""
    _, run_dir = run(folder, "suite:demo", "--set", "repeats=5")
    for result in summary_of(run_dir)["results"]:
        for name in _STEADY:
            values = [repeat["values"].get(name) for repeat in result["repeat_values"]]
            known = np.array([value for value in values if value is not None])
            if len(known) == len(values):
                cv = float(np.std(known, ddof=1) / np.mean(known))
                yield Seen(f"CV of {name} of {result['target']} < 5 %", f"{cv:.2%}", cv < 0.05)


@click.command(
    help="Try what is promised of runs, at full length. Example: python -m benchmarks.promises --only poisson"
)
@click.option("--runs", type=click.IntRange(1), default=20, show_default=True, help="How many healthy runs.")
@click.option("--only", type=click.Choice(["poisson", "constant", "freeze", "healthy", "steady"]), multiple=True)
def main(*, runs: int, only: tuple[str, ...]) -> None:  # noqa: D103
    trials: dict[str, Callable[[Path], Iterator[Seen]]] = {
        "poisson": poisson,
        "constant": constant,
        "freeze": freeze,
        "healthy": lambda folder: healthy(folder, runs),
        "steady": steady,
    }
    console = Console()
    table = Table("promise", "seen", "kept", title="What is promised of runs")
    broken = False
    for name, trial in trials.items():
        if only and name not in only:
            continue
        with console.status(name), tempfile.TemporaryDirectory(prefix="tokenswarm-promises-") as folder:
            for seen in trial(Path(folder)):
                table.add_row(seen.promise, seen.saw, "yes" if seen.kept else "[bold]no[/bold]")
                broken = broken or not seen.kept
    console.print(table)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
