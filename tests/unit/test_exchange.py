"""An attempt against a real socket that answers with given bytes: what becomes of each way to fail."""

from __future__ import annotations

import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import gevent
import pytest
import trustme

from harness.attempts.prepare import prepare
from harness.errors import ErrorKind
from harness.exchange import Origin, describe, perform
from harness.plan import Target, Timeouts, Workload
from harness.prompts import prompt
from harness.sample import Outcome, Sample, decode, encode
from harness.sockets.endpoint import endpoint_of
from harness.sockets.http_framing import TransportFault
from harness.sockets.tls import tls_context
from harness.transport import Connection, Response

OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: r-1\r\ntransfer-encoding: chunked\r\n\r\n"
WORD = b'data: {"choices":[{"index":0,"delta":{"content":"hello "}}]}\n\n'
ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"
KEY = "key-0123456789abcdefghij"


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


END = b"0\r\n\r\n"
Script = list[bytes | float | str]


def _serve(listener: socket.socket, scripts: list[Script]) -> None:
    """Answer each connection by its script: bytes are sent, a number is a pause, `read` waits for a request,
    `begin` for the beginning of one, `reset` closes hard."""
    for script in scripts:
        peer, _ = listener.accept()
        with peer, suppress(BrokenPipeError, ConnectionResetError):  # the client may give up first
            for step in script:
                if isinstance(step, bytes):
                    peer.sendall(step)
                elif isinstance(step, float):
                    time.sleep(step)
                elif step == "read":
                    _read_request(peer)
                elif step == "begin":
                    _received(peer)
                else:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _received(peer: socket.socket) -> bytes:
    data = peer.recv(65536)
    if not data:
        raise ConnectionResetError  # the client has closed
    return data


def _read_request(peer: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _received(peer)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    while len(body) < length:
        body += _received(peer)


@contextmanager
def server(*scripts: Script) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, list(scripts)), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        thread.join(5)


def attempt(url: str, *, stream: bool = True, timeouts: Timeouts | None = None) -> Sample:
    target = Target(name="t", dialect="openai-chat", base_url=url, model="m")
    workload = Workload(input_tokens=5, stream=stream)
    connection = Connection(endpoint_of(url), timeouts or Timeouts(connect_s=2, read_s=0.3, total_s=1))
    origin = Origin(run="r", stage=0, repeat=1, worker="w", seq=0, anchor_ns=time.monotonic_ns())
    try:
        return perform(connection, prepare(target, workload, prompt(1, workload, 0), KEY), origin)
    finally:
        connection.close()


def test_a_whole_stream_is_ok_and_its_times_are_in_order() -> None:
    pieces: Script = ["read", OK, chunk(ROLE), 0.02, chunk(WORD), 0.02, chunk(WORD), chunk(USAGE), chunk(DONE), END]
    with server(pieces) as url:
        sample = attempt(url)
    assert sample.outcome is Outcome.OK
    assert sample.usage is not None
    assert (sample.usage.output_tokens, sample.text_chars, sample.request_id) == (2, 12, "r-1")
    assert len(sample.event_ns) == 2, "the role chunk is not content"
    assert sample.start_ns is not None
    assert sample.connect_ns is not None
    assert sample.headers_ns is not None
    order = [sample.start_ns, sample.connect_ns, sample.headers_ns, *sample.event_ns, sample.end_ns]
    assert order == sorted(order)
    assert sample.event_ns[0] - sample.headers_ns >= 15_000_000, "the first content came after a pause"
    assert decode(encode(sample)) == sample


@pytest.mark.parametrize("tokens", [2**64 - 1, 2**53, -1])
def test_a_count_of_tokens_that_nothing_can_be_is_not_known_and_the_attempt_stays(tokens: int) -> None:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":%d}}\n\n' % tokens
    with server(["read", OK, chunk(WORD), chunk(usage), chunk(DONE), END]) as url:
        sample = attempt(url)
    assert sample.outcome is Outcome.OK and sample.usage is not None
    assert (sample.usage.input_tokens, sample.usage.output_tokens) == (9, None)
    assert decode(encode(sample)) == sample


def test_events_are_stamped_when_they_arrive_however_the_bytes_are_cut() -> None:
    body = chunk(WORD) + chunk(DONE) + END
    cut = len(chunk(WORD)) // 2
    with server(["read", OK + body[:cut], 0.05, body[cut:]]) as url:
        sample = attempt(url)
    assert sample.outcome is Outcome.OK
    assert sample.headers_ns is not None
    assert sample.event_ns[0] - sample.headers_ns >= 40_000_000


LENGTH_10 = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"
HTML = b"<html><body>Bad gateway</body></html>"
HTML_200 = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n" % len(HTML) + HTML
UNAUTHORISED = b'{"error":{"message":"Incorrect API key: %s","type":"x","code":"invalid_api_key"}}' % KEY.encode()
STATUS_401 = b"HTTP/1.1 401 No\r\ncontent-length: %d\r\n\r\n" % len(UNAUTHORISED) + UNAUTHORISED
STATUS_429 = b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n{}"
STATUS_101 = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"
ERROR_EVENT = b'data: {"error":{"message":"boom","type":"server_error"}}\n\n'
BARE = b'{"error":{"message":"boom","type":"server_error"}}'
DRIPS: Script = [chunk(WORD), 0.2] * 8
FAILURES: list[tuple[str, Script, ErrorKind, Outcome]] = [
    ("no end marker", ["read", OK, chunk(WORD), END], ErrorKind.TRUNCATED, Outcome.TRUNCATED),
    ("cut inside the body", ["read", OK, chunk(WORD)], ErrorKind.TRUNCATED, Outcome.TRUNCATED),
    ("reset inside the body", ["read", OK, chunk(WORD), 0.05, "reset"], ErrorKind.TRUNCATED, Outcome.TRUNCATED),
    ("empty stream", ["read", OK, chunk(ROLE), chunk(DONE), END], ErrorKind.EMPTY, Outcome.FAILED),
    ("error after 200", ["read", OK, chunk(WORD), chunk(ERROR_EVENT), END], ErrorKind.STREAM_ERROR, Outcome.FAILED),
    ("bare error after text", ["read", OK, chunk(WORD), chunk(BARE), END], ErrorKind.STREAM_ERROR, Outcome.FAILED),
    ("stalls", ["read", OK, chunk(WORD), 0.6], ErrorKind.STALLED, Outcome.TIMED_OUT),
    ("never answers", ["read", 0.6], ErrorKind.READ_TIMEOUT, Outcome.TIMED_OUT),
    ("closes unanswered", ["read"], ErrorKind.RESET, Outcome.FAILED),
    ("resets unanswered", ["read", "reset"], ErrorKind.RESET, Outcome.FAILED),
    ("is not HTTP", ["read", b"SSH-2.0-OpenSSH\r\n"], ErrorKind.PROTOCOL, Outcome.FAILED),
    ("HTML and 200", ["read", HTML_200], ErrorKind.MALFORMED, Outcome.FAILED),
    ("short body", ["read", LENGTH_10 + b"data"], ErrorKind.TRUNCATED, Outcome.TRUNCATED),
    ("wrong key", ["read", STATUS_401], ErrorKind.AUTH, Outcome.FAILED),
    ("throttled", ["read", STATUS_429], ErrorKind.RATE_LIMIT, Outcome.THROTTLED),
    ("changes the protocol", ["read", STATUS_101, 0.6], ErrorKind.PROTOCOL, Outcome.FAILED),
    ("drips", ["read", OK, *DRIPS], ErrorKind.TOTAL_TIMEOUT, Outcome.TIMED_OUT),
]


@pytest.mark.parametrize(("script", "kind", "outcome"), [case[1:] for case in FAILURES], ids=[c[0] for c in FAILURES])
def test_each_failure_has_its_class_and_never_counts_as_success(
    script: Script, kind: ErrorKind, outcome: Outcome
) -> None:
    with server(script) as url:
        sample = attempt(url)
    assert (sample.error, sample.outcome) == (kind, outcome), sample.error_detail
    assert describe(sample)["exception"] is not None
    for begin in range(len(KEY) - 7):
        assert KEY[begin : begin + 8] not in encode(sample).decode()


def test_retry_after_is_kept() -> None:
    with server(["read", STATUS_429]) as url:
        assert attempt(url).retry_after_s == 7


def test_a_refused_connection_an_unknown_host_and_a_plain_port_spoken_to_in_tls_are_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    refused = attempt(f"http://127.0.0.1:{port}/v1")
    assert (refused.error, refused.reused) == (ErrorKind.CONNECT, False), "no connection stood that could be used again"
    assert attempt("http://no..name/v1").error is ErrorKind.DNS
    assert attempt("http://no-such-host.invalid/v1").error is ErrorKind.DNS
    with server([b"not tls at all", 0.05]) as url:
        assert attempt(url.replace("http:", "https:")).error is ErrorKind.TLS


def in_a_row(
    url: str, pauses_s: Sequence[float], connection: Connection | None = None, *, close: bool = True
) -> list[Sample]:
    """Attempts through one connection, each followed by a pause."""
    target = Target(name="t", dialect="openai-chat", base_url=url, model="m")
    workload = Workload(input_tokens=5)
    connection = connection or Connection(endpoint_of(url), Timeouts(read_s=1))
    samples = []
    for seq, pause_s in enumerate(pauses_s):
        origin = Origin(run="r", stage=0, repeat=1, worker="w", seq=seq, anchor_ns=0)
        samples.append(perform(connection, prepare(target, workload, prompt(1, workload, seq), None), origin))
        gevent.sleep(pause_s)
    if close:
        connection.close()
    return samples


def test_a_connection_that_the_server_closed_while_idle_is_opened_again() -> None:
    reply: Script = ["read", OK, chunk(WORD), chunk(DONE), END]
    with server(list(reply), list(reply)) as url:
        samples = in_a_row(url, [0.1, 0])
    assert [sample.outcome for sample in samples] == [Outcome.OK, Outcome.OK]
    assert [sample.reused for sample in samples] == [False, False]


def test_a_kill_while_a_request_is_under_way_gives_a_cancelled_sample() -> None:
    with server(["read", OK, chunk(WORD), 0.5]) as url:
        samples: list[Sample] = []
        worker = gevent.spawn(lambda: samples.append(attempt(url, timeouts=Timeouts(read_s=5, total_s=5))))
        gevent.sleep(0.2)
        worker.kill()
    assert [sample.outcome for sample in samples] == [Outcome.CANCELLED]
    assert len(samples[0].event_ns) == 1


def test_a_reply_that_is_not_streamed_has_no_ttft() -> None:
    body = b'{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"completion_tokens":1}}'
    with server(["read", b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body]) as url:
        sample = attempt(url, stream=False)
    assert (sample.outcome, sample.event_ns, sample.items) == (Outcome.OK, (), 1)


def test_tls_certificates_are_verified() -> None:
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED


def tls_server(authority: trustme.CA, script: Script) -> AbstractContextManager[str]:
    """As `server`, under TLS with a certificate of `authority`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return _tls_server(context, script)


@contextmanager
def _tls_server(context: ssl.SSLContext, script: Script) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # its connections inherit it
        port = listener.getsockname()[1]

        def serve() -> None:
            with suppress(ssl.SSLError), context.wrap_socket(listener, server_side=True) as wrapped:
                _serve(wrapped, [script])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://localhost:{port}/v1"
        thread.join(5)


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[trustme.CA]:
    """A certificate authority that this process trusts, as it would one of the system's."""
    found = trustme.CA()
    path = tmp_path / "ca.pem"
    found.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    tls_context.cache_clear()
    yield found
    tls_context.cache_clear()


def test_a_stream_under_tls_has_the_same_stamps_as_in_the_clear(authority: trustme.CA) -> None:
    pieces: Script = ["read", OK, chunk(ROLE), 0.05, chunk(WORD), 0.05, chunk(WORD * 40_000), chunk(DONE), END]
    with tls_server(authority, pieces) as url:
        sample = attempt(url)
    assert sample.outcome is Outcome.OK, sample.error_detail
    assert sample.headers_ns is not None
    assert len(sample.event_ns) == 40_001
    assert sample.event_ns[0] - sample.headers_ns >= 40_000_000
    assert sample.stamps == ("kernel" if sys.platform.startswith("linux") else "user")


@pytest.mark.usefixtures("authority")
def test_a_certificate_of_an_unknown_authority_is_a_tls_failure() -> None:
    with tls_server(trustme.CA(), ["read", OK]) as url:
        sample = attempt(url)
    assert sample.error is ErrorKind.TLS
    assert "certificate not accepted" in str(sample.error_detail)


def test_a_connection_made_ahead_under_tls_is_used(authority: trustme.CA) -> None:
    """TLS 1.3 has tickets sent after the handshake, when nobody has asked for anything yet."""
    with tls_server(authority, ["read", OK, chunk(WORD), chunk(DONE), END, "read"]) as url:
        connection = Connection(endpoint_of(url), Timeouts(connect_s=5, read_s=5, total_s=5))
        connection.connect_ahead()
        gevent.sleep(0.2)
        (sample,) = in_a_row(url, [0], connection)
    assert sample.outcome is Outcome.OK, sample.error_detail
    assert (sample.reused, sample.connect_ns) == (True, None)


def test_a_connection_under_tls_that_was_closed_while_idle_is_seen(authority: trustme.CA) -> None:
    with tls_server(authority, ["read", OK, chunk(WORD), chunk(DONE), END]) as url:
        connection = Connection(endpoint_of(url), Timeouts(connect_s=5, read_s=5, total_s=5))
        (sample,) = in_a_row(url, [0.2], connection, close=False)
    assert sample.outcome is Outcome.OK, sample.error_detail
    assert not connection.ready()


LARGE = b"POST / HTTP/1.1\r\ncontent-length: 30000000\r\n\r\n" + b"x" * 30_000_000


def ask_at_length(script: Script, timeouts: Timeouts) -> tuple[Response, TransportFault | None]:
    """A request that fits into no buffer, to a server that does not read it."""
    response, fault = Response(), None
    with server(script) as url:
        connection = Connection(endpoint_of(url), timeouts)
        connection.connect()
        try:
            connection.ask(LARGE, response, time.monotonic_ns() + int(timeouts.total_s * 1e9))
        except TransportFault as error:
            fault = error
        ready = connection.ready()
        connection.close()
    assert not ready, "the rest of the request would be taken for the next one"
    return response, fault


def test_the_whole_attempt_has_its_limit_while_the_request_is_written_as_well() -> None:
    _, fault = ask_at_length([1.5], Timeouts(connect_s=5, read_s=60, total_s=0.3))
    assert fault is not None
    assert fault.kind is ErrorKind.TOTAL_TIMEOUT


def test_an_answer_to_a_request_that_is_not_taken_whole_is_not_waited_for_any_longer() -> None:
    refusal = b"HTTP/1.1 413 Large\r\ncontent-length: 2\r\n\r\n{}"
    response, fault = ask_at_length(["begin", refusal, 1.5], Timeouts(connect_s=5, read_s=60, total_s=60))
    assert fault is None
    assert (response.head.status, response.complete) == (413, True)


def test_a_server_that_closes_after_each_response_unannounced_is_given_a_new_connection_each_time() -> None:
    reply: Script = ["read", OK, chunk(WORD), chunk(DONE), END]
    with server(*[list(reply)] * 5) as url:
        samples = in_a_row(url, [0.02, 0, 0, 0, 0])  # after the first, no time to see the close
    assert [sample.outcome for sample in samples] == [Outcome.OK] * 5
    assert [sample.reused for sample in samples] == [False] * 5
