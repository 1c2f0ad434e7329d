"""The dialects of more providers against the simulator: what is measured is what its truth says, and what goes wrong
has its place in the taxonomy, whatever the framing."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import botocore.auth
import msgspec
import pytest

from harness.attempts.prepare import key_of, prepare, region_of, simulator_key
from harness.errors import ErrorKind
from harness.exchange import Origin, perform
from harness.handover.planned import with_simulator
from harness.plan import Aws, Target, Timeouts, Workload
from harness.plan_file import plan_of
from harness.prompts import prompt
from harness.records.dialect_names import KIND_OF_DIALECT
from harness.sample import Outcome, Sample
from harness.simulator.process import running
from harness.simulator.truth import Truth, read_truth
from harness.sockets.endpoint import endpoint_of
from harness.transport import Connection

PLAYERS = {
    "azure-openai": "azure-sim",
    "bedrock-converse": "bedrock-sim",
    "vertex": "vertex-sim",
    "cohere-chat": "cohere-sim",
    "mistral": "mistral-sim",
    "ollama": "ollama-sim",
    "tei-embeddings": "tei-sim",
    "tei-rerank": "tei-sim",
    "infinity-embeddings": "infinity-sim",
    "infinity-rerank": "infinity-sim",
}
CHATS = [name for name in PLAYERS if KIND_OF_DIALECT[name] == "chat"]
QUICK = {"ttft": 0.01, "itl": 0.001, "reasoning_tokens": 2, "cached_share": 0.5, "limits": {"rpm": 100_000}}
_numbers = count()


class Simulator(NamedTuple):
    url: str
    truth: Path

    def truth_of(self, sample: Sample) -> Truth:
        """It is written just after the last byte."""
        for _ in range(500):
            found = [truth for truth in read_truth(self.truth) if truth.id == sample.request_id]
            if found:
                return found[0]
            time.sleep(0.01)
        raise AssertionError(f"no truth of {sample.request_id}")


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    folder = tmp_path_factory.mktemp("more-providers")
    config = {"providers": dict.fromkeys({*PLAYERS.values()}, QUICK)}
    (folder / "simulator.yaml").write_text(json.dumps(config))
    with running(folder / "simulator.yaml", folder / "truth.jsonl") as url:
        yield Simulator(url, folder / "truth.jsonl")


def target_of(dialect: str, url: str, **fields: Any) -> Target:
    """As in a planned run: `sim://NAME`, where the embedded simulator listens."""
    given = {"name": "t", "dialect": dialect, "base_url": f"sim://{PLAYERS[dialect]}", "model": "m:1", **fields}
    document = {
        "name": "p",
        "targets": [{"key_env": "NONE_SUCH", **given}],
        "workload": {"kind": KIND_OF_DIALECT[dialect]},
        "stages": [{"concurrency": 1, "duration_s": 1}],
    }
    return with_simulator(plan_of(document, "plan"), url).targets[0]


def ask(target: Target, *, stream: bool = True, key: str | None = None, fault: str | None = None) -> Sample:
    batch = 1 if target.kind == "chat" else 3
    workload = Workload(kind=target.kind, input_tokens=20, output_tokens=9, stream=stream, batch=batch)
    if fault is not None:
        target = msgspec.structs.replace(target, headers={"x-sim-fault": fault})
    connection = Connection(endpoint_of(target.base_url), Timeouts(connect_s=10, read_s=20, total_s=40))
    origin = Origin(run="r", stage=0, repeat=1, worker="w", seq=0, anchor_ns=time.monotonic_ns())
    asked = prepare(target, workload, prompt(1, workload, next(_numbers)), key or simulator_key(target))
    try:
        return perform(connection, asked, origin)
    finally:
        connection.close()


@pytest.mark.parametrize("form", ["streamed", "whole"])
@pytest.mark.parametrize("dialect", [*PLAYERS, "bedrock-converse, signed"])
def test_a_sample_says_what_the_truth_says(simulator: Simulator, dialect: str, form: str) -> None:
    dialect, _, signed = dialect.partition(", ")
    stream = form == "streamed"
    sample = ask(target_of(dialect, simulator.url, aws={} if signed else None), stream=stream)
    assert (sample.outcome, sample.error_detail, sample.status) == (Outcome.OK, None, 200)
    truth = simulator.truth_of(sample)
    assert sample.usage is not None and truth.dialect == dialect
    assert sample.usage.input_tokens == truth.input_tokens
    if KIND_OF_DIALECT[dialect] != "chat":
        assert (sample.items, truth.items) == (3, 3)
        return
    assert sample.usage.output_tokens == truth.output_tokens == 9
    assert len(sample.event_ns) == (len(truth.content) if stream else 0)
    if dialect != "ollama":  # which does not tell
        assert sample.usage.cached_tokens == truth.cached_tokens == 10
    assert sample.finish_reason in ("length", "max_tokens", "MAX_TOKENS")


FAULTS = {
    "rate_limit": ErrorKind.RATE_LIMIT,
    "auth_failure": ErrorKind.AUTH,
    "status_500": ErrorKind.SERVER_ERROR,
    "status_503": ErrorKind.OVERLOADED,
    "error_event": ErrorKind.STREAM_ERROR,
    "truncate": ErrorKind.TRUNCATED,
    "truncate_chunked": ErrorKind.TRUNCATED,
    "malformed_json": ErrorKind.MALFORMED,
    "html": ErrorKind.MALFORMED,
    "empty": ErrorKind.EMPTY,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("dialect", PLAYERS)
def test_what_goes_wrong_is_told_apart(simulator: Simulator, dialect: str, fault: str) -> None:
    for stream in (True, False) if dialect in CHATS else (False,):
        sample = ask(target_of(dialect, simulator.url), stream=stream, fault=fault)
        assert sample.error == FAULTS[fault], sample.error_detail
        assert sample.outcome is not Outcome.OK


@pytest.mark.parametrize("dialect", CHATS)
def test_a_huge_event_is_given_up(simulator: Simulator, dialect: str) -> None:
    sample = ask(target_of(dialect, simulator.url), fault="huge_event")
    assert sample.error is ErrorKind.MALFORMED and sample.event_ns


def test_a_wrong_secret_and_a_wrong_clock_are_two_things(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    target = target_of("bedrock-converse", simulator.url, aws={"region": "eu-west-3"})
    wrong = ask(target, key="AKIDEXAMPLE a-wrong-secret-0123456789")
    assert wrong.error is ErrorKind.AUTH and wrong.error_detail is not None
    assert wrong.error_detail.startswith("InvalidSignatureException: ") and "secret-0" not in wrong.error_detail
    assert ask(target, key="AKIDEXAMPLE sim-key a/session+token==").outcome is Outcome.OK
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    for minutes in (-9, 9):
        moment = now + dt.timedelta(minutes=minutes)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, at=moment, **__: at)
        skewed = ask(target)
        assert skewed.error is ErrorKind.CLOCK, skewed.error_detail
        assert skewed.status == 403


def test_what_is_signed_holds_for_the_query_too(simulator: Simulator) -> None:
    target = target_of("bedrock-converse", simulator.url, aws={}, query={"b": "2 ü", "a": "x/y"})
    assert ask(target).outcome is Outcome.OK


def test_azure_wants_a_version_and_the_target_may_name_it(simulator: Simulator) -> None:
    target = target_of("azure-openai", simulator.url, query={"api-version": "2025-04-01-preview"})
    assert ask(target).outcome is Outcome.OK
    asked = prepare(target, Workload(), prompt(1, Workload(), 0), "k")
    assert b"/chat/completions?api-version=2025-04-01-preview HTTP/1.1" in asked.wire


@pytest.mark.parametrize(
    ("dialect", "limit"), [("azure-openai", 100_000), ("mistral", 100_000), ("cohere-chat", 100_000), ("ollama", None)]
)
def test_rate_limits_are_read_where_they_are_told(simulator: Simulator, dialect: str, limit: int | None) -> None:
    sample = ask(target_of(dialect, simulator.url))
    assert (None if sample.limits is None else sample.limits.limit_requests) == limit


def test_the_own_time_of_a_server_is_kept(simulator: Simulator) -> None:
    sources = {}
    for dialect in PLAYERS:
        server = ask(target_of(dialect, simulator.url)).server
        sources[dialect] = server and server.source
    told = {"bedrock-converse": "latencyMs", "ollama": "ollama", "tei-embeddings": "tei", "tei-rerank": "tei"}
    assert {name: source for name, source in sources.items() if source} == told


def test_keys_of_aws_come_from_the_variables_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://bedrock-runtime.eu-central-1.amazonaws.com"
    target = Target(
        name="t", dialect="bedrock-converse", base_url=url, model="m", key_env="MY_SECRET", aws=Aws(key_id_env="MY_ID")
    )
    monkeypatch.setenv("MY_SECRET", "secret")
    monkeypatch.setenv("MY_ID", "id")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    assert key_of(target) == "id secret"
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    assert key_of(target) == "id secret token"
    assert region_of(target) == "eu-central-1"
    asked = prepare(target, Workload(), prompt(1, Workload(), 0), key_of(target))
    head = asked.wire.partition(b"\r\n\r\n")[0].decode()
    assert "Credential=id/" in head and "/eu-central-1/bedrock/aws4_request" in head
    assert "x-amz-security-token: token" in head and "secret" not in head.lower().replace("aws4", "")
    monkeypatch.delenv("MY_ID")
    with pytest.raises(Exception, match="MY_ID is not set"):
        key_of(target)
