"""The simulator's batch endpoints: when each prompt of a job is answered, and what is said meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from harness.simulator.batches import Item, Jobs
from harness.simulator.process import running
from harness.simulator.response import Request
from harness.simulator.truth import Truth, read_truth

QUICK = {"ttft": 0.05, "itl": 0.01, "batch_workers": 2}
CONFIG = {
    "providers": {
        "anthropic-sim": QUICK,
        "openai-sim": QUICK,
        "google-sim": QUICK | {"tokens_per_chunk": 1},
        "flaky": {"dialects": ["anthropic-batches"], "faults": [{"kind": "status_529", "probability": 0.5}], **QUICK},
        "down": {"dialects": ["anthropic-batches"], "faults": [{"kind": "status_503"}]},
        "fast": {"dialects": ["anthropic-batches"], **QUICK, "batch_speed": 10},
    }
}
HEADERS = {"x-api-key": "sim-key", "authorization": "Bearer sim-key", "x-goog-api-key": "sim-key"}
HEADERS |= {"anthropic-version": "2023-06-01"}


def request_at(at_s: float) -> Request:
    return Request("POST", "/", {}, b"", round(at_s * 1e9))


def test_prompts_are_answered_by_so_many_workers_for_all_jobs_in_the_order_they_came() -> None:
    jobs = Jobs(2)
    first = jobs.create("a", [Item("0", 1.0), Item("1", 3.0), Item("2", 1.0)], request_at(10))
    second = jobs.create("b", [Item("0", 1.0)], request_at(11))
    assert first.due_s == (11, 13, 12)
    assert second.due_s == (13,), "both workers are busy until 12"
    assert [item.key for item in first.done(12.5)] == ["0", "2"]
    assert [item.key for item in first.done(13)] == ["0", "2", "1"]
    assert (first.end_s, second.end_s) == (13, 13)
    assert jobs.create("c", [Item("0", 1.0)], request_at(50)).due_s == (51,)


class Simulator(NamedTuple):
    url: str
    truth: Path

    def post(self, path: str, value: Any, **more: Any) -> httpx.Response:
        return httpx.post(self.url + path, json=value, headers=HEADERS | more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return httpx.get(self.url + path, headers=HEADERS | more)

    def truths(self, model: str) -> list[Truth]:
        """Those of jobs for a model of the test's own."""
        for _ in range(500):
            found = [truth for truth in read_truth(self.truth) if truth.model == model]
            if found:
                return found
            time.sleep(0.01)
        raise AssertionError("no such truth")

    def created(self, provider: str, model: str, prompts: int) -> dict[str, Any]:
        requests = [{"custom_id": f"k{n}", "params": params(model, n + 1)} for n in range(prompts)]
        batch: dict[str, Any] = self.post(f"/{provider}/v1/messages/batches", {"requests": requests}).json()
        return batch

    def ended(self, provider: str, job: str) -> dict[str, Any]:
        for _ in range(500):
            batch: dict[str, Any] = self.get(f"/{provider}/v1/messages/batches/{job}").json()
            if batch["processing_status"] == "ended":
                return batch
            assert batch["results_url"] is None
            time.sleep(0.01)
        raise AssertionError("it did not end")


def params(model: str, tokens: int) -> dict[str, Any]:
    return {"model": model, "max_tokens": tokens, "messages": [{"role": "user", "content": "one two three"}]}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    folder = tmp_path_factory.mktemp("batches")
    (folder / "simulator.yaml").write_text(json.dumps(CONFIG))
    with running(folder / "simulator.yaml", folder / "truth.jsonl") as url:
        yield Simulator(url, folder / "truth.jsonl")


def test_a_job_takes_as_long_as_its_prompts_take_two_workers(simulator: Simulator) -> None:
    began_ns = time.monotonic_ns()
    job = simulator.created("anthropic-sim", "m-two", 4)  # replies of 1 to 4 tokens: 0.05, 0.06, 0.07, 0.08 s
    assert job["request_counts"]["processing"] == 4
    early = simulator.get(f"/anthropic-sim/v1/messages/batches/{job['id']}/results")
    assert early.status_code == 404, "there are no results yet"
    ended = simulator.ended("anthropic-sim", job["id"])
    assert ended["request_counts"] == {"processing": 0, "succeeded": 4, "errored": 0, "canceled": 0, "expired": 0}
    lines = [json.loads(line) for line in simulator.get(httpx.URL(ended["results_url"]).path).text.splitlines()]
    assert {line["custom_id"]: line["result"]["message"]["usage"]["output_tokens"] for line in lines} == {
        f"k{n}": n + 1 for n in range(4)
    }
    (truth,) = simulator.truths("m-two")
    assert (truth.id, truth.outcome, truth.items) == (job["id"], "complete", 4)
    assert (truth.input_tokens, truth.output_tokens) == (12, 10)
    assert 0.1395e9 <= truth.end_ns - truth.received_ns < 0.25e9, "0.06 + 0.08 s; one worker would take 0.26 s"
    assert began_ns < truth.received_ns


def test_a_batch_may_be_faster_than_its_prompts_alone(simulator: Simulator) -> None:
    simulator.created("fast", "m-fast", 2)
    (truth,) = simulator.truths("m-fast")
    assert 0.0055e9 <= truth.end_ns - truth.received_ns < 0.05e9


def test_faults_strike_prompts_by_draws_of_their_own(simulator: Simulator) -> None:
    for _ in range(20):  # the creation has a draw of its own, which may strike too
        job = simulator.created("flaky", "m-flaky", 60)
        if "id" in job:
            break
    counts = simulator.ended("flaky", job["id"])["request_counts"]
    assert 15 < counts["errored"] < 45 and counts["errored"] + counts["succeeded"] == 60
    lines = simulator.get(f"/flaky/v1/messages/batches/{job['id']}/results").text.splitlines()
    errors = [
        each["error"]["error"]["type"] for each in (json.loads(line)["result"] for line in lines) if "error" in each
    ]
    assert errors == ["overloaded_error"] * counts["errored"]
    (truth,) = simulator.truths("m-flaky")
    assert (truth.outcome, truth.items) == ("fault:status_529", counts["succeeded"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/anthropic-sim/v1/messages/batches/msgbatch_none", 404),
        ("GET", "/anthropic-sim/v1/messages/batches/msgbatch_none/results", 404),
        ("GET", "/openai-sim/v1/batches/batch_none", 404),
        ("GET", "/openai-sim/v1/files/file-none/content", 404),
        ("GET", "/google-sim/v1beta/batches/none", 404),
        ("POST", "/anthropic-sim/v1/messages/batches/x", 405),
        ("GET", "/anthropic-sim/v1/messages/batches", 405),
        ("POST", "/down/v1/messages/batches", 503),
        ("POST", "/anthropic-sim/v1/messages/batches", 400),
        ("POST", "/openai-sim/v1/batches", 400),
        ("POST", "/openai-sim/v1/files", 400),
        ("POST", "/google-sim/v1beta/models/m:batchGenerateContent", 400),
    ],
)
def test_what_is_refused(simulator: Simulator, method: str, path: str, status: int) -> None:
    given: Any = {"requests": []} if method == "POST" else None
    assert httpx.request(method, simulator.url + path, json=given, headers=HEADERS).status_code == status
    wrong = dict.fromkeys(("x-api-key", "x-goog-api-key"), "wrong") | {"authorization": "Bearer wrong"}
    wrong |= {"anthropic-version": "2023-06-01"}
    refused = httpx.request(method, simulator.url + path, json=given, headers=wrong).status_code
    assert refused == (405 if status == 405 else 401)


def test_a_key_twice_is_refused(simulator: Simulator) -> None:
    requests = [{"custom_id": "k", "params": params("m", 1)}] * 2
    assert simulator.post("/anthropic-sim/v1/messages/batches", {"requests": requests}).status_code == 400


def test_a_job_of_a_file_that_cannot_be_read_fails_and_says_so(simulator: Simulator) -> None:
    form: dict[str, Any] = {"files": {"file": ("f.jsonl", b'{"custom_id": 1}\n')}, "data": {"purpose": "batch"}}
    keys = {name: value for name, value in HEADERS.items() if name == "authorization"}
    file = httpx.post(f"{simulator.url}/openai-sim/v1/files", headers=keys, **form).json()
    fields = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch = simulator.post("/openai-sim/v1/batches", fields).json()
    assert (batch["status"], batch["output_file_id"]) == ("failed", None)
    assert batch["errors"]["data"][0]["code"] == "invalid_json_line"
    unknown = simulator.post("/openai-sim/v1/batches", fields | {"input_file_id": "file-none"})
    assert unknown.status_code == 404


def test_a_request_can_ask_that_its_job_is_not_created(simulator: Simulator) -> None:
    requests = [{"custom_id": "k", "params": params("m-forced", 1)}]
    body = {"requests": requests}
    path = "/anthropic-sim/v1/messages/batches"
    assert simulator.post(path, body, **{"x-sim-fault": "rate_limit"}).status_code == 429
    with pytest.raises(httpx.RemoteProtocolError):
        simulator.post(path, body, **{"x-sim-fault": "refuse"})
