"""Servers that want memory or time of a client: each is given up within bounds (docs/robustness.md)."""

from __future__ import annotations

import gzip
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count, repeat
from pathlib import Path

import httpx
import pytest

from harness.attempts.prepare import prepare
from harness.errors import ErrorKind
from harness.exchange import Origin, perform
from harness.grading.second_opinion import HelpRefused, answered
from harness.plan import Target, Timeouts, Workload
from harness.prompts import prompt
from harness.sample import Outcome, Sample, decode, encode
from harness.sockets.endpoint import endpoint_of
from harness.sockets.http_framing import TransportFault
from harness.transport import Connection, Response

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
MOST_BYTES = 4_000_000
GROWTH_BYTES = 150_000_000
Pieces = Iterator[bytes]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def endless_headers() -> Pieces:
    yield HEAD
    yield from (b"x-%d: %s\r\n" % (number, b"y" * 500) for number in count())


def endless_trailer() -> Pieces:
    yield CHUNKED + chunk(b"data: {}\n\n") + b"0\r\n"
    yield from (b"x-%d: %s\r\n" % (number, b"y" * 500) for number in count())


def endless_interim() -> Pieces:
    yield from repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def endless_event() -> Pieces:
    yield CHUNKED + chunk(b"data: ")
    yield from repeat(chunk(b"x" * 60_000))


def endless_events() -> Pieces:
    yield CHUNKED
    yield from repeat(chunk(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n' * 1000))


def endless_comments() -> Pieces:
    yield CHUNKED
    yield from repeat(chunk(b": ping\n\n" * 5000))


def endless_small_chunks() -> Pieces:
    yield CHUNKED
    yield from repeat(b"1\r\nx\r\n" * 10_000)


def bomb() -> Pieces:
    body = gzip.compress(b"\0" * 50_000_000)
    yield HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def bomb_in_chunks() -> Pieces:
    yield HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n" + chunk(gzip.compress(b"\0" * 50_000_000)) + b"0\r\n\r\n"


def huge_promise() -> Pieces:
    yield HEAD + b"content-length: 999999999999999999\r\n\r\n"
    yield from repeat(b"x" * 60_000)


def slowly() -> Pieces:
    """A byte now and then, for ever: never silent for as long as the read timeout."""
    for byte in CHUNKED + chunk(b"data: x\n\n") * 100_000:
        time.sleep(0.05)
        yield bytes([byte])


@contextmanager
def serving(pieces: Callable[[], Pieces]) -> Iterator[str]:
    """A server that answers every request with these pieces, until the client has had enough."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while not over.is_set():
            with suppress(OSError):
                client, _ = listener.accept()
                with client:
                    client.settimeout(20)
                    client.recv(65_536)
                    for piece in pieces():
                        client.sendall(piece)
                        if over.is_set():
                            break

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(25)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def ask(url: str, *, stream: bool = True) -> Sample:
    workload = Workload(output_tokens=5, stream=stream)
    target = Target(name="t", dialect="openai-chat", base_url=url, model="m")
    prepared = prepare(target, workload, prompt(1, workload, 0), None)
    timeouts = Timeouts(connect_s=10, read_s=10, total_s=2.0)
    connection = Connection(endpoint_of(url), timeouts, max_response_bytes=MOST_BYTES)
    sample = perform(connection, prepared, Origin(run="r", stage=0, repeat=1, worker="w", seq=0, anchor_ns=0))
    connection.close()
    return sample


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("pieces", "kinds"),
    [
        (endless_headers, {ErrorKind.PROTOCOL}),
        (endless_trailer, {ErrorKind.PROTOCOL, ErrorKind.MALFORMED}),
        (endless_interim, {ErrorKind.PROTOCOL}),
        (bomb, {ErrorKind.PROTOCOL}),
        (bomb_in_chunks, {ErrorKind.PROTOCOL}),
        (endless_event, {ErrorKind.MALFORMED}),
        (endless_events, {ErrorKind.MALFORMED}),
        (endless_comments, {ErrorKind.MALFORMED}),
        (endless_small_chunks, {ErrorKind.MALFORMED}),
        (huge_promise, {ErrorKind.MALFORMED}),
        (slowly, {ErrorKind.TOTAL_TIMEOUT}),
    ],
)
def test_a_server_that_never_ends_is_given_up_within_bounds(
    pieces: Callable[[], Pieces], kinds: set[ErrorKind], *, stream: bool
) -> None:
    before = resident_bytes()
    with serving(pieces) as url:
        sample = ask(url, stream=stream)
    # On a machine that is too busy to send so much in time, time is the bound that is met first.
    assert sample.error in kinds | {ErrorKind.TOTAL_TIMEOUT}, sample
    assert resident_bytes() - before < GROWTH_BYTES
    assert (sample.response_bytes or 0) <= MOST_BYTES
    assert len(sample.error_detail or "") <= 300


def test_a_response_before_the_request_is_no_reply() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    said = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    connection = Connection(endpoint_of(url), Timeouts(connect_s=10, read_s=10, total_s=20))
    with listener:
        connection.connect()
        client, _ = listener.accept()
        with client:
            client.sendall(HEAD + b"content-length: %d\r\n\r\n%s" % (len(said), said))
            with pytest.raises(TransportFault, match="a response before the request") as caught:
                connection.ask(b"POST / HTTP/1.1\r\n\r\n", Response(), time.monotonic_ns() + 20 * 10**9)
    assert caught.value.kind is ErrorKind.PROTOCOL


def replied(*events: bytes) -> Callable[[], Pieces]:
    body = b"".join(b"data: %s\n\n" % event for event in (*events, b"[DONE]"))
    return lambda: iter([HEAD + b"content-length: %d\r\n\r\n%s" % (len(body), body)])


TEXT = b'{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}'


@pytest.mark.parametrize(
    ("event", "tokens"),
    [
        (b'{"choices":[],"usage":{"prompt_tokens":-5,"completion_tokens":7}}', (None, 7)),
        (b'{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":99999999999999999999999}}', (5, None)),
        (b'{"choices":[],"usage":{"prompt_tokens":9223372036854775807,"completion_tokens":-1}}', None),
        (b'{"choices":[],"timings":{"prompt_ms":1e308,"predicted_ms":-1e308}}', None),
        (b'{"choices":[],"timings":{"prompt_ms":-7,"predicted_ms":-5}}', None),
    ],
)
def test_counts_and_times_that_nothing_can_be_are_not_measured(event: bytes, tokens: tuple[int, int] | None) -> None:
    with serving(replied(TEXT, event)) as url:
        sample = ask(url)
    assert sample.outcome is Outcome.OK
    assert (sample.usage and (sample.usage.input_tokens, sample.usage.output_tokens)) == tokens
    assert sample.server is None
    assert decode(encode(sample)) == sample


def test_words_of_a_provider_are_cut_where_they_are_no_words() -> None:
    event = b'{"choices":[{"delta":{"content":"a"},"finish_reason":"%s"}],"system_fingerprint":"%s"}'
    with serving(replied(event % (b"f" * 1_000_000, b"p" * 1_000_000))) as url:
        sample = ask(url)
    assert (sample.finish_reason, sample.fingerprint) == ("f" * 100, "p" * 100)
    assert len(encode(sample)) < 2000


@pytest.mark.parametrize(
    ("pieces", "said"),
    [(bomb, "was not asked for"), (huge_promise, "more than 16777216 bytes")],
    ids=["bomb", "endless"],
)
def test_a_helper_that_sends_a_bomb_is_refused(pieces: Callable[[], Pieces], said: str) -> None:
    before = resident_bytes()
    with serving(pieces) as url, httpx.Client(trust_env=False) as client:
        target = Target(name="judge", dialect="openai-chat", base_url=url, model="m")
        with pytest.raises(HelpRefused, match=said):
            answered(client, target, None, "a prompt", 5)
    assert resident_bytes() - before < GROWTH_BYTES
