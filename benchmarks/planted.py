"""Simulated set-ups whose truth is known: one planted bottleneck each, healthy ones, and sweeps of known capacity.

They run in virtual time (`harness/simulator/offline.py`), so a whole sweep takes a second or less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.records.capacity_record import CauseName
from harness.plan import Plan
from harness.plan_file import plan_of
from harness.records.health_record import LAG_BOUNDS_S, Health, encode_health
from harness.rundir import RunDir
from harness.simulator.config import config_from
from harness.simulator.offline import Client, play_offline

LOADS = (1, 2, 4, 8, 16, 24, 32, 48)
_TTFT = {"kind": "lognormal", "median_s": 0.25, "sigma": 0.15}
_ITL = {"kind": "lognormal", "median_s": 0.02, "sigma": 0.15}
HEALTHY = {"dialects": ["openai-chat"], "ttft": _TTFT, "itl": _ITL}
_SPREAD = 0.02
_CLIENT = Client(spread=_SPREAD)


@dataclass(frozen=True)
class Setup:
    """A provider with something planted, the load that it gets, and the cause that should be named first (None: none).
    `after` may add to the run directory."""

    name: str
    cause: CauseName | None
    provider: dict[str, Any] = field(default_factory=dict)
    loads: Sequence[int] = (1, 2, 4, 8, 16)
    input_tokens: str = "N(480,120)"
    client: Client = _CLIENT
    after: Callable[[RunDir, Plan], None] = lambda run_dir, plan: None  # noqa: ARG005


def run_offline(
    folder: Path,
    provider: dict[str, Any],
    *,
    loads: Sequence[int] = LOADS,
    seed: int = 1,
    client: Client = _CLIENT,
    duration_s: float = 20.0,
    **plan: Any,
) -> tuple[RunDir, Plan]:
    """Run a sweep of one target, `sim`, in virtual time. `plan` are further keys of the plan."""
    config = config_from({"seed": seed, "providers": {"sim": {**HEALTHY, **provider}}})
    target = {"name": "sim", "dialect": "openai-chat", "base_url": "sim://sim", "model": "m"}
    document = {
        "name": "planted",
        "seed": seed,
        "repeats": 3,
        "warmup_s": 2,
        "targets": [target],
        "workload": {"kind": "chat", "name": "w", "input_tokens": 256, "output_tokens": 8},
        "stages": [{"concurrency": n, "duration_s": duration_s} for n in loads],
    }
    made = plan_of(document | plan, "planted")
    run_dir = RunDir(folder / "planted" / f"seed-{seed}")
    play_offline(made, config, run_dir, client)
    return run_dir, made


def _late_loops(run_dir: RunDir, plan: Plan) -> None:
    """Rows of health that say that the event loop was late all the time, and the core full."""
    span_s = sum(stage.duration_s + plan.warmup_s + 30 for stage in plan.stages)
    counts = [0] * (len(LAG_BOUNDS_S) + 1)
    counts[LAG_BOUNDS_S.index(0.02)] = 100
    with run_dir.health.open("wb") as file:
        for repeat in range(1, plan.repeats + 1):
            for second in range(1, int(span_s)):
                row = Health(
                    run=run_dir.name,
                    worker=f"r{repeat}-w0",
                    repeat=repeat,
                    t_ns=second * 10**9,
                    span_s=1.0,
                    loop_lag_counts=tuple(counts),
                    cpu_share=0.99,
                )
                file.write(encode_health(row))


SETUPS = (
    Setup("client", "client", after=_late_loops),
    Setup("network delay", "network", {"network_s": 0.3}),
    Setup("throttling", "throttling", {"limits": {"rpm": 120}}),
    Setup("provider queueing", "provider queueing", {"slots": 4}),
    Setup("decode saturation", "decode saturation", {"usl": {"sigma": 0.12, "kappa": 0.001}, "slows": "gaps"}),
    Setup("prefill bound", "prefill bound", {"ttft": 0.02, "prefill_s_per_input_token": 0.001}),
    Setup("connection set-up", "connection set-up", {"requests_per_connection": 1}, client=Client(0.15, _SPREAD)),
    Setup("slow replica", "slow replica", {"replicas": [{"share": 0.25, "factor": 3}]}),
    Setup("cold start", "cold start", {"cold_start": {"wake_s": 1.5, "idle_s": 0.3}}),
    Setup(
        "cache effect",
        "cache effect",
        {"ttft": 0.05, "prefill_s_per_input_token": 0.0008, "cached_share": 0.8, "cache_hits": 0.5},
    ),
    Setup("healthy", None),
    Setup("healthy, quick", None, {"ttft": {"kind": "lognormal", "median_s": 0.06, "sigma": 0.2}}, loads=(2, 4, 8)),
)


def play_setup(setup: Setup, folder: Path, seed: int, duration_s: float = 20.0) -> RunDir:
    """The run directory of a set-up."""
    workload = {"kind": "chat", "name": "w", "input_tokens": setup.input_tokens, "output_tokens": 8}
    run_dir, plan = run_offline(
        folder,
        setup.provider,
        loads=setup.loads,
        seed=seed,
        client=setup.client,
        duration_s=duration_s,
        workload=workload,
    )
    setup.after(run_dir, plan)
    return run_dir
