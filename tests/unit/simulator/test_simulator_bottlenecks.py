"""Bottlenecks of a real simulator on a socket, by its own truth; and the same provider in virtual time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from analysis.samples import load_samples
from benchmarks.planted import run_offline
from harness.simulator.config import config_from
from harness.simulator.draws import draws_of
from harness.simulator.process import running
from harness.simulator.truth import Truth, read_truth

CONFIG = {
    "providers": {
        "line": {"dialects": ["openai-chat"], "ttft": 0.3, "itl": 0.01, "slots": 1},
        "new": {"dialects": ["openai-chat"], "ttft": 0.01, "new_connection_s": 0.2, "requests_per_connection": 2},
        "cold": {"dialects": ["openai-chat"], "ttft": 0.01, "cold_start": {"wake_s": 0.3}},
        "far": {"dialects": ["openai-chat"], "ttft": 0.05, "network_s": 0.2},
        "cache": {"dialects": ["openai-chat"], "cached_share": 0.5, "cache_hits": 0.5, "ttft": 0.001},
    }
}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("bottlenecks")
    (folder / "sim.yaml").write_text(json.dumps(CONFIG))
    with running(folder / "sim.yaml", folder / "truth.jsonl") as url:
        yield url, folder / "truth.jsonl"


def _ask(client: httpx.Client, url: str, provider: str) -> httpx.Response:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "a b c d e f"}],
        "stream": True,
        "max_tokens": 3,
        "stream_options": {"include_usage": True},
    }
    return client.post(f"{url}/{provider}/v1/chat/completions", json=body, headers={"authorization": "Bearer sim-key"})


def _truths(path: Path, provider: str, count: int) -> list[Truth]:
    for _ in range(500):
        found = [truth for truth in read_truth(path) if truth.provider == provider]
        if len(found) >= count:
            return found
        time.sleep(0.01)
    raise AssertionError("no such truth")


def _first_s(truth: Truth) -> float:
    return (truth.chunk_ns[truth.content[0]] - truth.received_ns) / 1e9


def test_requests_wait_in_line_for_a_slot_and_the_truth_says_how_long(simulator: tuple[str, Path]) -> None:
    url, path = simulator
    together = threading.Barrier(3)

    def ask() -> None:
        with httpx.Client(timeout=10) as client:
            together.wait()
            assert _ask(client, url, "line").status_code == 200

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, *others = sorted(_truths(path, "line", 3), key=lambda truth: truth.end_ns)
    assert first.queued_ns is None
    for before, after in zip([first, *others], others, strict=False):
        assert after.queued_ns is not None
        begun_ns = after.received_ns + after.queued_ns
        assert begun_ns >= before.end_ns - 1_000_000
        assert after.chunk_ns[after.content[0]] - begun_ns >= 299_000_000


def test_a_connection_is_dear_when_new_and_ends_after_its_requests(simulator: tuple[str, Path]) -> None:
    url, path = simulator
    with httpx.Client(timeout=10) as client:
        replies = [_ask(client, url, "new") for _ in range(3)]
    assert [reply.headers["connection"] for reply in replies] == ["keep-alive", "close", "keep-alive"]
    first, second, third = (_first_s(truth) for truth in _truths(path, "new", 3))
    assert min(first, third) >= 0.2
    assert second < min(first, third)


def test_a_cold_provider_makes_the_first_request_wait(simulator: tuple[str, Path]) -> None:
    url, path = simulator
    with httpx.Client(timeout=10) as client:
        for _ in range(2):
            _ask(client, url, "cold")
    cold, warm = (_first_s(truth) for truth in _truths(path, "cold", 2))
    assert cold >= 0.3 > warm


def test_the_network_is_not_in_the_servers_own_time(simulator: tuple[str, Path]) -> None:
    url, path = simulator
    with httpx.Client(timeout=10) as client:
        reply = _ask(client, url, "far")
    (truth,) = _truths(path, "far", 1)
    assert _first_s(truth) >= 0.25
    assert int(reply.headers["openai-processing-ms"]) < _first_s(truth) * 1000 - 199


def test_some_prompts_are_in_the_cache(simulator: tuple[str, Path]) -> None:
    url, path = simulator
    with httpx.Client(timeout=10) as client:
        for _ in range(12):
            _ask(client, url, "cache")
    assert {truth.cached_tokens for truth in _truths(path, "cache", 12)} == {0, 3}


def test_virtual_time_has_the_draws_of_the_real_one(tmp_path: Path) -> None:
    provider: dict[str, Any] = {"ttft": {"kind": "lognormal", "median_s": 0.3, "sigma": 0.3}, "itl": 0.01}
    run_dir, _ = run_offline(tmp_path, provider, loads=(1,), duration_s=5, seed=4, repeats=1)
    samples = load_samples(run_dir)
    made = config_from({"seed": 4, "providers": {"sim": {"dialects": ["openai-chat"], **provider}}}).providers[-1]
    took_s = (samples.column("first_event_ns") - samples.column("start_ns")) / 1e9
    spread = (took_s / [draws_of(made, 4, number).ttft_s for number in range(len(took_s))]).std()
    assert len(took_s) > 10
    assert spread < 1e-6  # all alike but for the factor of the repeat
    gaps = samples.column("last_event_ns") - samples.column("first_event_ns")
    assert gaps.std() / gaps.mean() < 1e-6


def test_virtual_time_never_serves_more_than_there_are_slots(tmp_path: Path) -> None:
    run_dir, _ = run_offline(tmp_path, {"slots": 3}, loads=(9,), duration_s=5, repeats=1)
    samples = load_samples(run_dir)
    # Those whose own time has begun: from the first event less the shortest wait for it.
    first, end = samples.column("first_event_ns"), samples.column("end_ns")
    begun = sum(((first <= at) & (end > at)).sum() for at in first) / len(first)
    assert 1 < begun <= 3


def test_an_open_stage_in_virtual_time_keeps_its_schedule(tmp_path: Path) -> None:
    stages = [{"rate_rps": 20, "duration_s": 10, "arrival": "poisson"}]
    run_dir, _ = run_offline(tmp_path, {}, repeats=1, stages=stages)
    samples = load_samples(run_dir)
    assert (samples.column("start_ns") == samples.column("due_ns")).all()
    assert len(samples.table) == pytest.approx(240, rel=0.25)
