"""A job on real sockets: one sample, whatever happens on the way."""

from __future__ import annotations

import json
import time
from typing import Any

import gevent
import pytest
from test_exchange import Script, server

from harness.allowances.allowance import ask_of
from harness.attempts.prepare import prepare
from harness.dialects.jobs import keys_of
from harness.errors import ErrorKind
from harness.exchange import Origin, describe, perform
from harness.plan import Polling, Target, Timeouts, Workload
from harness.prompts import prompt
from harness.sample import Outcome, Sample, decode, encode
from harness.sockets.endpoint import endpoint_of
from harness.transport import Connection

KEY = "key-0123456789abcdefghij"
WORKLOAD = Workload(kind="batch", batch=3, input_tokens=5, output_tokens=4)
PROMPT = prompt(1, WORKLOAD, 0)
KEYS = keys_of(PROMPT.texts)
OFTEN = Polling(first_s=0.03)


def http(value: Any, status: str = "200 OK") -> bytes:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return f"HTTP/1.1 {status}\r\nrequest-id: r-1\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def status(word: str) -> bytes:
    return http({"id": "msgbatch_1", "processing_status": word})


def line(key: str, text: str = "hi", tokens: int = 2) -> bytes:
    usage = {"input_tokens": 5, "output_tokens": tokens}
    message = {
        "type": "message",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "usage": usage,
    }
    return json.dumps({"custom_id": key, "result": {"type": "succeeded", "message": message}}).encode() + b"\n"


def body_bytes(response: bytes) -> int:
    return len(response.partition(b"\r\n\r\n")[2])


UNDER_WAY, ENDED = status("in_progress"), status("ended")
RESULTS = http(b"".join(map(line, reversed(KEYS))))
WHOLE: Script = ["read", UNDER_WAY, "read", UNDER_WAY, "read", ENDED, "read", RESULTS]


def attempt(url: str, *, total_s: float = 2.0, polling: Polling = OFTEN) -> Sample:
    target = Target(name="t", dialect="anthropic-batches", base_url=url, model="m", polling=polling)
    connection = Connection(endpoint_of(url), Timeouts(connect_s=2, read_s=0.5, total_s=total_s))
    origin = Origin(run="r", stage=0, repeat=1, worker="w", seq=0, anchor_ns=time.monotonic_ns())
    try:
        return perform(connection, prepare(target, WORKLOAD, PROMPT, KEY), origin)
    finally:
        connection.close()


def test_a_job_is_one_sample_from_its_creation_to_the_last_byte_of_its_results() -> None:
    with server([*WHOLE[:-1], RESULTS[:-40], 0.1, RESULTS[-40:]]) as url:
        sample = attempt(url)
    assert sample.outcome is Outcome.OK, sample.error_detail
    assert sample.usage is not None
    assert (sample.items, sample.usage.input_tokens, sample.usage.output_tokens, sample.text_chars) == (3, 15, 6, 6)
    assert (sample.request_id, sample.status, sample.finish_reason) == ("msgbatch_1", 200, "end_turn")
    assert sample.event_ns == () and sample.first_text_ns is None and sample.server is None
    assert sample.start_ns is not None and sample.headers_ns is not None
    assert sample.end_ns - sample.headers_ns >= (0.03 + 0.033 + 0.1) * 0.98e9, (
        "two pauses, and the results in two parts"
    )
    assert sample.response_bytes == sum(
        len(part) - part.index(b"\r\n\r\n") - 4 for part in WHOLE if isinstance(part, bytes)
    )
    assert decode(encode(sample)) == sample


def test_a_job_goes_on_over_a_connection_that_was_closed_between_two_looks() -> None:
    with server(["read", UNDER_WAY, "read", UNDER_WAY], ["read", ENDED, "read", RESULTS]) as url:
        assert attempt(url).outcome is Outcome.OK


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "full"}}
ERRORED = json.dumps({"custom_id": KEYS[1], "result": {"type": "errored", "error": OVERLOADED}}).encode() + b"\n"
REFUSED = line(KEYS[1]).replace(b'"end_turn"', b'"refusal"')
WRONG: list[tuple[str, Script, ErrorKind, int | None]] = [
    ("an errored prompt", [line(KEYS[0]) + ERRORED + line(KEYS[2])], ErrorKind.OVERLOADED, 2),
    ("a missing prompt", [line(KEYS[0]) + line(KEYS[2])], ErrorKind.TRUNCATED, 2),
    ("no results", [b""], ErrorKind.TRUNCATED, 0),
    ("an empty reply", [line(KEYS[0]) + line(KEYS[1], "") + line(KEYS[2])], ErrorKind.EMPTY, 2),
    ("a refusal", [line(KEYS[0]) + REFUSED + line(KEYS[2])], ErrorKind.REFUSED, 2),
    ("a broken line", [line(KEYS[0]) + line(KEYS[1])[:30] + b"\n" + line(KEYS[2])], ErrorKind.MALFORMED, 2),
    ("a result too many", [b"".join(map(line, [*KEYS, "9-000000000000"]))], ErrorKind.MISMATCHED, 3),
]


@pytest.mark.parametrize(("results", "kind", "items"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_job_without_a_whole_reply_to_each_prompt_is_a_failure(results: Script, kind: ErrorKind, items: int) -> None:
    with server(["read", ENDED, "read", http(results[0])]) as url:
        sample = attempt(url)
    assert (sample.error, sample.items) == (kind, items), sample.error_detail
    assert sample.outcome is not Outcome.OK
    assert sample.usage is None or sample.usage.output_tokens == 2 * (
        items + (kind in (ErrorKind.EMPTY, ErrorKind.REFUSED))
    )


BROKEN: list[tuple[str, Script, ErrorKind]] = [
    ("wrong key", ["read", http(OVERLOADED | {"error": {"type": "authentication_error"}}, "401 No")], ErrorKind.AUTH),
    ("throttled look", ["read", UNDER_WAY, "read", http(OVERLOADED, "429 No")], ErrorKind.RATE_LIMIT),
    ("unknown job", ["read", UNDER_WAY, "read", http(OVERLOADED, "404 No")], ErrorKind.NOT_FOUND),
    ("HTML for a status", ["read", UNDER_WAY, "read", http(b"<html>")], ErrorKind.MALFORMED),
    ("HTML for results", ["read", ENDED, "read", http(b"<html>")], ErrorKind.MALFORMED),
    ("results cut short", ["read", ENDED, "read", RESULTS[:-9]], ErrorKind.TRUNCATED),
    ("silent look", ["read", UNDER_WAY, "read", 0.8], ErrorKind.READ_TIMEOUT),
]


@pytest.mark.parametrize(("script", "kind"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_whatever_fails_on_the_way_is_what_became_of_the_job(script: Script, kind: ErrorKind) -> None:
    with server(script) as url:
        sample = attempt(url)
    assert sample.error is kind, sample.error_detail
    assert describe(sample)["exception"] is not None
    for begin in range(len(KEY) - 7):
        assert KEY[begin : begin + 8] not in encode(sample).decode()


def test_a_job_that_does_not_end_is_given_up_in_time_also_between_two_looks() -> None:
    with server(["read", UNDER_WAY, 0.6]) as url:
        sample = attempt(url, total_s=0.4, polling=Polling(first_s=5))
    assert (sample.error, sample.outcome) == (ErrorKind.TOTAL_TIMEOUT, Outcome.TIMED_OUT)
    assert sample.start_ns is not None
    assert 0.39e9 < sample.end_ns - sample.start_ns < 0.6e9
    assert (sample.request_id, sample.items) == ("msgbatch_1", None)


def test_looks_become_rarer_up_to_the_bound() -> None:
    endless: Script = ["read", UNDER_WAY]
    with server(endless * 100) as url:
        sample = attempt(url, total_s=1.0, polling=Polling(first_s=0.02, most_s=0.05))
    looks = (sample.response_bytes or 0) // body_bytes(UNDER_WAY) - 1
    assert 15 <= looks <= 28, "0.02 s growing by a tenth to 0.05 s: 10 looks in 0.32 s, then 20 a second at most"


def test_a_kill_between_two_looks_gives_a_cancelled_sample() -> None:
    with server(["read", UNDER_WAY, 0.5]) as url:
        samples: list[Sample] = []
        worker = gevent.spawn(lambda: samples.append(attempt(url, polling=Polling(first_s=5))))
        gevent.sleep(0.2)
        worker.kill()
    assert [(sample.outcome, sample.items) for sample in samples] == [(Outcome.CANCELLED, None)]
    assert samples[0].end_ns - (samples[0].start_ns or 0) > 0.15e9


def test_what_a_job_may_cost_is_what_all_of_its_prompts_may() -> None:
    target = Target(name="t", dialect="anthropic-batches", base_url="http://x", model="m")
    assert len(set(PROMPT.texts)) == 3
    assert ask_of(target, PROMPT).tokens == sum(map(len, PROMPT.texts)) // 4 + 1 + 3 * 4
