"""The state machines of the batch endpoints: what each answer leads to, on recorded bytes.

The folder of a dialect holds its answers as `job_*`; `KEY0` stands for the key of the first prompt, and so on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_broken_bytes import JSON, places, replaced

from harness.dialects import DIALECTS
from harness.dialects.jobs import keys_of, matched
from harness.dialects.wire import Ask, Fault, HttpRequest, JobEnd, Step
from harness.errors import ErrorKind

HERE = Path(__file__).parent
TEXTS = ("one", "two", "three")
KEYS = keys_of(TEXTS)
JOBS = sorted(name for name, dialect in DIALECTS.items() if dialect.job is not None)
FLOWS = {  # of a job that goes well: the answers, and what was asked
    "anthropic-batches": (
        ["job_under_way.json", "job_under_way.json", "job_ended.json", "job_results.jsonl"],
        [
            "POST /v1/messages/batches",
            "GET /v1/messages/batches/msgbatch_013Zva2C",
            "GET /v1/messages/batches/msgbatch_013Zva2C",
            "GET /v1/messages/batches/msgbatch_013Zva2C/results",
        ],
    ),
    "openai-batches": (
        ["job_uploaded.json", "job_under_way.json", "job_ended.json", "job_results.jsonl"],
        ["POST /files", "POST /batches", "GET /batches/batch_67c8", "GET /files/file-out1/content"],
    ),
    "google-batches": (
        ["job_under_way.json", "job_under_way.json", "job_ended.json"],
        ["POST /v1beta/models/m:batchGenerateContent", *["GET /v1beta/batches/x1y2"] * 2],
    ),
}


class Played(NamedTuple):
    steps: list[Step]
    end: JobEnd

    def asked(self) -> list[str]:
        return [f"{step.request.method} {step.request.path}" for step in self.steps]

    def replies(self) -> list[bytes | Fault]:
        return matched(TEXTS, self.end)[0]

    def kinds(self) -> list[ErrorKind | None]:
        return [reply.kind if isinstance(reply, Fault) else None for reply in self.replies()]


def answer(dialect: str, name: str) -> bytes:
    body = (HERE / dialect / name).read_bytes()
    for number, key in enumerate(KEYS):
        body = body.replace(f'"KEY{number}"'.encode(), f'"{key}"'.encode())
    return body


def first(dialect: str) -> Step:
    job = DIALECTS[dialect].job
    assert job is not None
    return job(Ask(model="m", texts=TEXTS, key="k-1"))


def play(dialect: str, *names: str) -> Played:
    steps = [first(dialect)]
    for name in names:
        following = steps[-1].then(answer(dialect, name))
        if isinstance(following, JobEnd):
            assert name == names[-1], "it ended before all was answered"
            return Played(steps, following)
        steps.append(following)
    raise AssertionError(f"it goes on: {steps[-1]}")


@pytest.mark.parametrize("dialect", JOBS)
def test_a_job_is_created_asked_for_and_its_replies_matched_to_their_prompts(dialect: str) -> None:
    names, asked = FLOWS[dialect]
    played = play(dialect, *names)
    assert played.asked() == asked
    assert [step.request.body == b"" for step in played.steps] == [line.startswith("GET") for line in asked]
    deltas = [DIALECTS[dialect].read_whole(reply) for reply in played.replies() if isinstance(reply, bytes)]
    assert [delta.text for delta in deltas] == ["first", "second", "third"], "they came in another order"
    assert [(u.input_tokens, u.output_tokens) for delta in deltas if (u := delta.usage)] == [(10, 5), (11, 5), (12, 5)]
    assert played.end.fault is None


@pytest.mark.parametrize("dialect", JOBS)
def test_every_request_of_a_job_has_the_key_and_looks_are_told_from_the_rest(dialect: str) -> None:
    steps = play(dialect, *FLOWS[dialect][0]).steps
    keys = [{value for value in step.request.headers.values() if "k-1" in value} for step in steps]
    assert all(len(found) == 1 for found in keys)
    assert all("content-type" not in step.request.headers for step in steps if step.request.method == "GET")
    looks = [step.poll for step in steps]
    assert looks[0] is False and any(looks), "what is asked again and again must wait"
    assert [step.job is not None for step in steps] == [place >= looks.index(True) for place in range(len(steps))]


WRONG = [
    ("anthropic-batches", ["job_ended.json", "job_results_errored.jsonl"], None, [None, ErrorKind.BAD_REQUEST, None]),
    ("anthropic-batches", ["job_ended.json", "job_results_blocked.jsonl"], None, [None, ErrorKind.REFUSED, None]),
    ("anthropic-batches", ["job_ended.json", "job_results_overloaded.jsonl"], None, [None, ErrorKind.OVERLOADED, None]),
    ("anthropic-batches", ["job_ended.json", "job_results_expired.jsonl"], None, [None, None, ErrorKind.SERVER_ERROR]),
    (
        "openai-batches",
        ["job_uploaded.json", "job_ended_with_errors.json", "job_results_two.jsonl", "job_errors.jsonl"],
        None,
        [None, ErrorKind.RATE_LIMIT, None],
    ),
    (
        "openai-batches",
        ["job_uploaded.json", "job_expired.json", "job_results_two.jsonl", "job_errors_expired.jsonl"],
        ErrorKind.SERVER_ERROR,
        [None, ErrorKind.SERVER_ERROR, None],
    ),
    ("openai-batches", ["job_uploaded.json", "job_failed.json"], ErrorKind.BAD_REQUEST, [ErrorKind.TRUNCATED] * 3),
    ("openai-batches", ["job_uploaded.json", "job_nothing.json"], None, [ErrorKind.TRUNCATED] * 3),
    (
        "openai-batches",
        ["job_uploaded.json", "job_ended.json", "job_results_two.jsonl"],
        None,
        [None, ErrorKind.TRUNCATED, None],
    ),
    ("google-batches", ["job_ended_in_metadata.json"], None, [None, None, None]),
    ("google-batches", ["job_ended_with_errors.json"], None, [None, ErrorKind.RATE_LIMIT, None]),
    ("google-batches", ["job_expired.json"], ErrorKind.SERVER_ERROR, [ErrorKind.TRUNCATED] * 3),
    ("google-batches", ["job_failed.json"], ErrorKind.BAD_REQUEST, [ErrorKind.TRUNCATED] * 3),
]


@pytest.mark.parametrize(("dialect", "names", "fault", "kinds"), WRONG, ids=[f"{c[0]} {c[1][-1]}" for c in WRONG])
def test_what_was_not_answered_has_its_own_error(
    dialect: str, names: list[str], fault: ErrorKind | None, kinds: list[ErrorKind | None]
) -> None:
    played = play(dialect, *names)
    assert (played.end.fault and played.end.fault.kind) == fault
    assert played.kinds() == kinds


def test_a_failed_batch_says_why() -> None:
    fault = play("openai-batches", "job_uploaded.json", "job_failed.json").end.fault
    assert fault is not None
    assert "invalid_json_line: This line is not parseable" in fault.detail


def test_a_broken_line_is_the_jobs_fault_and_the_others_still_count() -> None:
    then = play("anthropic-batches", "job_ended.json", "job_results.jsonl").steps[-1].then
    lines = answer("anthropic-batches", "job_results.jsonl").splitlines(keepends=True)
    for broken in (lines[1][:40] + b"\n", b"<html>\n", b"[]\n", b'{"custom_id":"x"}\n'):
        end = then(lines[0] + broken + lines[2])
        assert isinstance(end, JobEnd) and end.fault is not None
        assert end.fault.kind is ErrorKind.MALFORMED
        assert Played([], end).kinds() == [ErrorKind.TRUNCATED, None, None]


@pytest.mark.parametrize("key", ["0-000000000000", KEYS[0]], ids=["of another job", "a second time"])
def test_a_result_that_belongs_to_no_prompt_is_a_mismatch(key: str) -> None:
    reply = b"{}"
    answers, fault = matched(TEXTS, JobEnd((*((each, reply) for each in KEYS), (key, reply))))
    assert answers == [reply] * 3
    assert fault is not None
    assert fault.kind is ErrorKind.MISMATCHED


def test_a_name_that_a_provider_gives_cannot_leave_its_place_in_a_path() -> None:
    for dialect, body in (
        ("anthropic-batches", {"id": "a/../b?c\r\nx: y", "processing_status": "in_progress"}),
        ("google-batches", {"name": "batches/b?c\r\nx: y"}),
    ):
        step = first(dialect).then(json.dumps(body).encode())
        assert isinstance(step, Step)
        assert not set(step.request.path) & set("?\r\n ")


def states(dialect: str) -> list[Step]:
    return play(dialect, *FLOWS[dialect][0]).steps


@pytest.mark.parametrize("dialect", JOBS)
@given(data=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_make_a_job_raise_or_look_like_a_success(dialect: str, data: bytes) -> None:
    for step in states(dialect):
        check(step.then(data))


@pytest.mark.parametrize("dialect", JOBS)
@given(new=JSON, choice=st.integers(0, 10**6), place=st.integers(0, 10**6))
def test_a_recorded_answer_with_any_value_in_any_place(dialect: str, new: Any, choice: int, place: int) -> None:
    recorded = sorted((HERE / dialect).glob("job_*.json"))
    value = json.loads(answer(dialect, recorded[choice % len(recorded)].name))
    paths = places(value)
    data = json.dumps(replaced(value, paths[place % len(paths)], new)).encode()
    for step in states(dialect):
        following = step.then(data)
        assert isinstance(following, (Step, JobEnd))
        if isinstance(following, Step):
            following.request.path.encode("ascii")


def check(following: Step | JobEnd) -> None:
    """Bytes that are nobody's answer end the job without any reply, or are an empty file of results."""
    if isinstance(following, JobEnd):
        replies, _ = matched(TEXTS, following)
        assert all(isinstance(reply, Fault) for reply in replies)
    else:
        assert isinstance(following.request, HttpRequest)


@pytest.mark.parametrize("dialect", JOBS)
def test_an_error_in_place_of_an_answer_ends_the_job_as_that_error(dialect: str) -> None:
    end = first(dialect).then(b'{"error":{"type":"rate_limit_error","message":"m"}}')
    assert end == JobEnd(fault=Fault(ErrorKind.RATE_LIMIT, "rate_limit_error: m"))


def test_the_sdks_accept_what_was_recorded() -> None:
    """Imported here: the SDKs load slowly."""
    from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse  # noqa: PLC0415
    from openai.types import Batch, FileObject  # noqa: PLC0415
    from pydantic import TypeAdapter  # noqa: PLC0415

    models: dict[tuple[str, str], Any] = {
        ("anthropic-batches", ".json"): MessageBatch,
        ("anthropic-batches", ".jsonl"): MessageBatchIndividualResponse,
        ("openai-batches", ".json"): Batch,
    }
    paths = [path for path in sorted(HERE.glob("*/job_*")) if (path.parent.name, path.suffix) in models]
    assert len(paths) > 10
    for path in paths:
        model = FileObject if path.stem == "job_uploaded" else models[path.parent.name, path.suffix]
        for body in path.read_bytes().splitlines() if path.suffix == ".jsonl" else [path.read_bytes()]:
            TypeAdapter[Any](model).validate_json(body)
