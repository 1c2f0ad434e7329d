"""The server over real sockets: what is on the wire, and whether the truth agrees with it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from harness.errors import UsageFault
from harness.simulator.process import running
from harness.simulator.truth import Truth, read_truth

ALL = ["openai-chat", "openai-responses", "anthropic-messages", "google-generate", "jina-embeddings", "jina-rerank"]
CONFIG = {
    "max_body_bytes": 100_000,
    "providers": {
        "quick": {
            "dialects": ALL,
            "ttft": 0.02,
            "itl": 0.002,
            "faults": [
                {"kind": "stall", "probability": 0, "stall_s": 0.1},
                {"kind": "slow", "probability": 0, "factor": 5},
            ],
        },
        "thinker": {
            "dialects": ALL,
            "ttft": 0,
            "itl": 0,
            "reasoning_tokens": 3,
            "cached_share": 0.5,
            "tokens_per_chunk": 2,
        },
        "silent": {"dialects": ["openai-chat"], "ttft": 0, "itl": 0.02, "reasoning_tokens": 3, "show_reasoning": False},
        "flood": {"dialects": ["openai-chat"], "ttft": 0, "itl": 0},
        "limited": {"dialects": ALL, "ttft": 0, "itl": 0, "limits": {"rpm": 2, "tpm": 100_000}},
        "narrow": {"dialects": ["openai-chat", "anthropic-messages"], "ttft": 0, "capacity": 1, "queue_limit": 0},
        "tiny": {"dialects": ["openai-chat"], "ttft": 0, "itl": 0.01, "capacity": 1, "overload_exponent": 2},
        "late": {"dialects": ["openai-chat"], "ttft": 0.3},
        "own-key": {"dialects": ["openai-chat"], "keys": ["other-key"]},
        "down": {"dialects": ["openai-chat"], "faults": [{"kind": "status_503"}]},
    },
}
PATHS = {
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "anthropic-messages": "/v1/messages",
    "google-generate": "/v1beta/models/some-model:streamGenerateContent?alt=sse",
}
KEYS = {
    "authorization": "Bearer sim-key",
    "x-api-key": "sim-key",
    "x-goog-api-key": "sim-key",
    "anthropic-version": "2023-06-01",
}
PROMPT = "one two  three\nfour"  # 4 words


class Simulator(NamedTuple):
    url: str
    truth: Path

    def truth_of(self, response: httpx.Response) -> Truth:
        """What the server says of a response; it writes that just after the last byte, so look until it is there."""
        wanted = response.headers.get("x-request-id") or response.headers["request-id"]
        return self.wait_for(lambda truth: truth.id == wanted)

    def wait_for(self, test: Any) -> Truth:
        for _ in range(500):
            found = [truth for truth in read_truth(self.truth) if test(truth)]
            if found:
                return found[-1]
            time.sleep(0.01)
        raise AssertionError("no such truth")

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return httpx.post(self.url + path, json=body, headers=KEYS | headers, timeout=10)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    folder = tmp_path_factory.mktemp("simulator")
    config = folder / "simulator.yaml"
    config.write_text(json.dumps(CONFIG))  # JSON is YAML
    with running(config, folder / "truth.jsonl") as url:
        yield Simulator(url, folder / "truth.jsonl")


def _ask(dialect: str, tokens: int = 8, *, stream: bool = True) -> dict[str, Any]:
    messages = [{"role": "user", "content": PROMPT}]
    if dialect == "openai-chat":
        options = {"stream_options": {"include_usage": True}} if stream else {}
        return {"model": "m", "messages": messages, "stream": stream, "max_tokens": tokens, **options}
    if dialect == "openai-responses":
        return {"model": "m", "input": PROMPT, "stream": stream, "max_output_tokens": tokens}
    if dialect == "anthropic-messages":
        return {"model": "m", "messages": messages, "stream": stream, "max_tokens": tokens}
    return {
        "contents": [{"role": "user", "parts": [{"text": PROMPT}]}],
        "generationConfig": {"maxOutputTokens": tokens},
    }


def _events(text: str) -> list[dict[str, Any]]:
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in data if line != "[DONE]"]


@pytest.mark.parametrize("dialect", PATHS)
def test_a_stream_is_as_long_and_as_fast_as_the_truth_says(simulator: Simulator, dialect: str) -> None:
    before_ns = time.monotonic_ns()
    response = simulator.post("/quick" + PATHS[dialect], _ask(dialect))
    after_ns = time.monotonic_ns()
    truth = simulator.truth_of(response)
    assert (truth.outcome, truth.status, truth.provider, truth.dialect) == ("complete", 200, "quick", dialect)
    assert (truth.input_tokens, truth.output_tokens, truth.reasoning_tokens) == (4, 8, 0)
    assert len(truth.chunk_ns) == len(_events(response.text)) + ("[DONE]" in response.text)
    assert len(truth.content) == 8
    assert truth.headers_ns is not None
    stamps = [before_ns, truth.received_ns, truth.headers_ns, *truth.chunk_ns, truth.end_ns]
    assert all(earlier <= later for earlier, later in pairwise(stamps))
    assert truth.chunk_ns[truth.content[0]] - truth.received_ns >= 20_000_000 - 10_000
    assert truth.chunk_ns[truth.content[-1]] - truth.received_ns >= 34_000_000 - 10_000
    assert truth.chunk_ns[-1] < after_ns


def test_headers_come_before_the_first_content(simulator: Simulator) -> None:
    truth = simulator.truth_of(simulator.post("/late/v1/chat/completions", _ask("openai-chat", 1)))
    assert truth.headers_ns is not None
    assert truth.headers_ns < truth.chunk_ns[0] < truth.chunk_ns[truth.content[0]] - 5_000_000, "half of 300 ms before"


def test_one_connection_serves_many_requests(simulator: Simulator) -> None:
    with httpx.Client(base_url=simulator.url, headers=KEYS) as client:
        connections = set()
        for dialect in (*PATHS, *PATHS):
            response = client.post("/thinker" + PATHS[dialect], json=_ask(dialect))
            assert response.status_code == 200
            connections.add(id(response.extensions["network_stream"].get_extra_info("socket")))
    assert len(connections) == 1


def test_a_flood_arrives_whole(simulator: Simulator) -> None:
    response = simulator.post("/flood/v1/chat/completions", _ask("openai-chat", 5000))
    events = _events(response.text)
    text = "".join(event["choices"][0]["delta"].get("content", "") for event in events if event["choices"])
    assert len(text.split()) == 5000
    assert simulator.truth_of(response).output_tokens == 5000


def test_a_slow_reader_holds_only_itself_up(simulator: Simulator) -> None:
    host, port = urlsplit(simulator.url).netloc.split(":")
    body = json.dumps(_ask("openai-chat", 50_000)).encode()
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(_raw("/flood/v1/chat/completions", body))
        assert slow.recv(1)
        assert simulator.post("/flood/v1/chat/completions", _ask("openai-chat")).status_code == 200
        received = 1
        while part := slow.recv(1 << 20):
            received += len(part)
    assert received > 50_000 * 100


def _raw(path: str, body: bytes, *headers: str, method: str = "POST") -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "host: x",
        "connection: close",
        "authorization: Bearer sim-key",
        f"content-length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _raw_answer(simulator: Simulator, request: bytes) -> bytes:
    """All bytes of the answer until the server closes. Raises ConnectionResetError when it resets."""
    host, port = urlsplit(simulator.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def _faulted(simulator: Simulator, kind: str, *, stream: bool) -> bytes:
    body = json.dumps(_ask("openai-chat", stream=stream)).encode()
    return _raw_answer(simulator, _raw("/quick/v1/chat/completions", body, f"x-sim-fault: {kind}"))


def test_truncated_streams_lack_their_end_marker_or_their_last_chunk(simulator: Simulator) -> None:
    orderly, cut = (_faulted(simulator, kind, stream=True) for kind in ("truncate", "truncate_chunked"))
    for answer in (orderly, cut):
        assert b"200 OK" in answer and b'"content":' in answer
        assert b"[DONE]" not in answer and b'"finish_reason":"' not in answer
    assert orderly.endswith(b"\r\n0\r\n\r\n")
    assert not cut.endswith(b"\r\n0\r\n\r\n")
    truth = simulator.wait_for(lambda one: one.outcome == "fault:truncate")
    assert truth.output_tokens == 3 == len(truth.content)
    assert truth.items == 0


@pytest.mark.parametrize("stream", [True, False])
def test_reset_is_a_tcp_reset(simulator: Simulator, *, stream: bool) -> None:
    with pytest.raises(ConnectionResetError):
        _faulted(simulator, "reset", stream=stream)
    assert simulator.wait_for(lambda one: one.outcome == "fault:reset")


def test_refuse_closes_without_a_byte(simulator: Simulator) -> None:
    assert _faulted(simulator, "refuse", stream=True) == b""
    truth = simulator.wait_for(lambda one: one.outcome == "fault:refuse")
    assert truth.status is None and truth.headers_ns is None


@pytest.mark.parametrize("stream", [True, False])
def test_wrong_content_length_promises_more_than_comes(simulator: Simulator, *, stream: bool) -> None:
    head, _, body = _faulted(simulator, "wrong_content_length", stream=stream).partition(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    assert int(length.split()[1]) > len(body) > 0


def test_truncated_bodies_are_shorter_than_promised(simulator: Simulator) -> None:
    head, _, body = _faulted(simulator, "truncate", stream=False).partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() not in head and body
    chunked = _faulted(simulator, "truncate_chunked", stream=False)
    assert b"transfer-encoding: chunked" in chunked and not chunked.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("dialect", PATHS)
def test_an_error_event_follows_status_200(simulator: Simulator, dialect: str) -> None:
    response = simulator.post("/quick" + PATHS[dialect], _ask(dialect), **{"x-sim-fault": "error_event"})
    last = _events(response.text)[-1]
    assert response.status_code == 200
    assert "error" in last or last["type"] == "error"
    assert simulator.truth_of(response).outcome == "fault:error_event"


@pytest.mark.parametrize("dialect", PATHS)
def test_an_empty_reply_ends_in_order_without_content(simulator: Simulator, dialect: str) -> None:
    response = simulator.post("/thinker" + PATHS[dialect], _ask(dialect), **{"x-sim-fault": "empty"})
    truth = simulator.truth_of(response)
    assert truth.content == [] and truth.output_tokens == 0 and truth.outcome == "fault:empty"
    ends = ("[DONE]", "response.completed", "message_stop", '"finishReason":"STOP"')
    assert any(end in response.text for end in ends)


def test_broken_json_and_html_come_with_status_200(simulator: Simulator) -> None:
    for stream in (True, False):
        ask = _ask("openai-chat", stream=stream)
        broken = simulator.post("/quick/v1/chat/completions", ask, **{"x-sim-fault": "malformed_json"})
        assert broken.status_code == 200
        with pytest.raises(json.JSONDecodeError):
            _events(broken.text) if stream else broken.json()
        page = simulator.post("/quick/v1/chat/completions", ask, **{"x-sim-fault": "html"})
        assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")


def test_a_stall_of_some_seconds_goes_on_and_slow_is_slow(simulator: Simulator) -> None:
    stalled = simulator.post("/quick/v1/chat/completions", _ask("openai-chat"), **{"x-sim-fault": "stall"})
    truth = simulator.truth_of(stalled)
    assert "[DONE]" in stalled.text and truth.outcome == "fault:stall"
    assert max(b - a for a, b in pairwise(truth.chunk_ns)) > 100_000_000
    slow = simulator.post("/quick/v1/chat/completions", _ask("openai-chat"), **{"x-sim-fault": "slow"})
    truth = simulator.truth_of(slow)
    assert truth.chunk_ns[truth.content[0]] - truth.received_ns > 99_000_000
    assert truth.outcome == "fault:slow" and truth.output_tokens == 8


def test_a_stall_for_ever_ends_when_the_client_leaves(simulator: Simulator) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            simulator.url + "/thinker/v1/chat/completions",
            json=_ask("openai-chat"),
            headers=KEYS | {"x-sim-fault": "stall"},
            timeout=0.2,
        )
    assert simulator.wait_for(lambda one: one.outcome == "fault:stall" and one.provider == "thinker").status == 200


def test_a_client_that_leaves_is_seen(simulator: Simulator) -> None:
    asked = {"json": _ask("openai-chat", 10_000), "headers": KEYS}
    with httpx.stream("POST", simulator.url + "/quick/v1/chat/completions", **asked) as response:  # type: ignore[arg-type]
        next(response.iter_bytes())
    truth = simulator.truth_of(response)
    assert truth.outcome == "client_closed"
    assert truth.output_tokens is not None and truth.output_tokens < 10_000


@pytest.mark.parametrize(
    ("kind", "status"),
    [("status_500", 500), ("status_503", 503), ("status_529", 529), ("rate_limit", 429), ("auth_failure", 401)],
)
@pytest.mark.parametrize("dialect", PATHS)
def test_error_statuses_have_the_providers_own_body(simulator: Simulator, dialect: str, kind: str, status: int) -> None:
    path = {**PATHS, "google-generate": "/v1beta/models/m:generateContent"}[dialect]
    native = dialect.partition("-")[0] + "-sim"
    response = simulator.post(f"/{native}{path}", _ask(dialect), **{"x-sim-fault": kind})
    assert response.status_code == status
    error = response.json()["error"]
    expected = {"openai-sim": {"message", "type", "param", "code"}, "anthropic-sim": {"type", "message"}}
    assert expected.get(native, {"code", "message", "status"}) <= error.keys()
    assert simulator.truth_of(response).outcome == f"fault:{kind}"


def test_an_unknown_fault_is_refused(simulator: Simulator) -> None:
    response = simulator.post("/quick/v1/chat/completions", _ask("openai-chat"), **{"x-sim-fault": "gremlin"})
    assert response.status_code == 400 and "gremlin" in response.text


def test_configured_faults_need_no_header(simulator: Simulator) -> None:
    response = simulator.post("/down/v1/chat/completions", _ask("openai-chat"))
    assert response.status_code == 503
    assert simulator.truth_of(response).outcome == "fault:status_503"


@pytest.mark.parametrize("dialect", PATHS)
def test_keys_are_wanted_where_the_dialect_wants_them(simulator: Simulator, dialect: str) -> None:
    wrong = {name: "Bearer no" if name == "authorization" else "no" for name in KEYS} | {"anthropic-version": "x"}
    for headers in (wrong, {}):
        response = httpx.post(simulator.url + PATHS[dialect], json=_ask(dialect), headers=headers)
        assert response.status_code == 401
        assert "sim-key" not in json.dumps(dict(response.headers))
        assert simulator.truth_of(response).outcome == "rejected"


def test_gemini_takes_its_key_from_the_query_and_the_truth_keeps_none(simulator: Simulator) -> None:
    url = simulator.url + PATHS["google-generate"] + "&key=sim-key"
    response = httpx.post(url, json=_ask("google-generate"))
    assert response.status_code == 200
    assert simulator.truth_of(response).path == "/v1beta/models/some-model:streamGenerateContent"
    assert b"sim-key" not in simulator.truth.read_bytes()


def test_a_provider_may_have_keys_of_its_own(simulator: Simulator) -> None:
    path = "/own-key/v1/chat/completions"
    assert simulator.post(path, _ask("openai-chat", 1)).status_code == 401
    assert simulator.post(path, _ask("openai-chat", 1), authorization="Bearer other-key").status_code == 200


@pytest.mark.parametrize(
    ("dialect", "headers"),
    [
        (
            "openai-chat",
            {"retry-after", "retry-after-ms", "x-ratelimit-remaining-requests", "x-ratelimit-reset-tokens"},
        ),
        ("anthropic-messages", {"retry-after", "anthropic-ratelimit-requests-reset"}),
        ("google-generate", set()),
        ("jina-rerank", {"retry-after", "x-ratelimit-remaining-requests"}),
    ],
)
def test_rate_limits_speak_the_providers_language(simulator: Simulator, dialect: str, headers: set[str]) -> None:
    """All four share the two requests a minute of one provider, so that by the third call the limit is reached."""
    path = PATHS.get(dialect, "/v1/rerank")
    ask = {"model": "m", "query": "q", "documents": ["d"]} if dialect == "jina-rerank" else _ask(dialect)
    response = [simulator.post("/limited" + path, ask) for _ in range(3)][-1]
    assert response.status_code == 429
    assert headers <= set(response.headers)
    if dialect == "google-generate":
        delay = response.json()["error"]["details"][0]["retryDelay"]
        assert 1 <= int(delay.removesuffix("s")) <= 30
    assert simulator.truth_of(response).outcome == "rejected"


def test_a_full_provider_turns_requests_away(simulator: Simulator) -> None:
    asked = {"json": _ask("openai-chat", 100_000), "headers": KEYS}
    with httpx.stream("POST", simulator.url + "/narrow/v1/chat/completions", **asked) as first:  # type: ignore[arg-type]
        second = simulator.post("/narrow/v1/messages", _ask("anthropic-messages"))
        assert first.status_code == 200 and second.status_code == 529
        assert second.json()["error"]["type"] == "overloaded_error"
    assert simulator.truth_of(first).outcome == "client_closed"
    assert simulator.post("/narrow/v1/chat/completions", _ask("openai-chat", 1)).status_code == 200


def test_beyond_capacity_everything_slows_down(simulator: Simulator) -> None:
    asked = {"json": _ask("openai-chat", 100_000), "headers": KEYS}
    path = simulator.url + "/tiny/v1/chat/completions"
    with httpx.stream("POST", path, **asked), httpx.stream("POST", path, **asked) as second:  # type: ignore[arg-type]
        lines = (line for line in second.iter_lines() if '"content":' in line)
        assert len([next(lines) for _ in range(4)]) == 4
    truth = simulator.truth_of(second)
    third_ns = truth.chunk_ns[truth.content[2]] - truth.received_ns
    assert third_ns >= 79_000_000, "two in flight at a capacity of one, squared: four times 10 ms a token"


def test_reasoning_is_shown_or_passes_in_silence(simulator: Simulator) -> None:
    shown = simulator.post("/thinker/v1/chat/completions", _ask("openai-chat"))
    truth = simulator.truth_of(shown)
    assert shown.text.count("reasoning_content") == 2
    assert (truth.reasoning_tokens, truth.output_tokens, truth.cached_tokens, len(truth.content)) == (3, 8, 2, 5)
    hidden = simulator.post("/silent/v1/chat/completions", _ask("openai-chat"))
    truth = simulator.truth_of(hidden)
    assert "reasoning_content" not in hidden.text
    assert (truth.reasoning_tokens, truth.output_tokens, len(truth.content)) == (3, 8, 5)
    assert truth.chunk_ns[truth.content[0]] - truth.received_ns > 59_000_000, "three silent gaps"


def test_gemini_without_alt_sse_is_one_json_array(simulator: Simulator) -> None:
    path = PATHS["google-generate"].removesuffix("?alt=sse")
    for fault in ({}, {"x-sim-fault": "error_event"}):
        response = simulator.post("/thinker" + path, _ask("google-generate"), **fault)
        assert response.headers["content-type"] == "application/json"
        objects = response.json()
        assert ("error" in objects[-1]) == bool(fault)
    assert objects[0]["candidates"][0]["content"]["parts"][0]["thought"] is True


@pytest.mark.parametrize(
    ("path", "provider"),
    [
        ("/v1/chat/completions", "openai-sim"),
        ("/chat/completions", "openai-sim"),
        ("/v1/messages", "anthropic-sim"),
        ("/v1beta/models/m:generateContent", "google-sim"),
        ("/v1/models/m:generateContent", "google-sim"),
        ("/v1beta/models/a%2Fb:generateContent", "google-sim"),
        ("/v1/embeddings", "jina-sim"),
        ("/openai-sim/v1/embeddings", "openai-sim"),
        ("/v1/rerank", "jina-sim"),
        ("/quick/chat/completions", "quick"),
        ("/nobody/v1/chat/completions", ""),
        ("/jina-sim/v1/messages", ""),
        ("/", ""),
    ],
)
def test_paths_find_their_provider(simulator: Simulator, path: str, provider: str) -> None:
    response = simulator.post(path, {})
    assert simulator.truth_of(response).provider == provider
    assert response.status_code == (400 if provider else 404)
    assert response.json()


def test_openai_embedding_models_go_to_openai(simulator: Simulator) -> None:
    response = simulator.post("/v1/embeddings", {"model": "text-embedding-3-small", "input": "x"})
    assert simulator.truth_of(response).provider == "openai-sim"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xff", b'{"model": 3}', b"[" * 5000])
def test_a_malformed_request_is_a_bad_request(simulator: Simulator, body: bytes) -> None:
    for path in (*PATHS.values(), "/v1/embeddings", "/v1/rerank"):
        response = httpx.post(simulator.url + path, content=body, headers=KEYS)
        assert response.status_code == 400
        assert response.json()


def test_too_large_a_body_is_refused_and_the_server_lives_on(simulator: Simulator) -> None:
    assert b" 413 " in _raw_answer(simulator, _raw("/v1/chat/completions", b"x" * 200_000))
    assert httpx.get(simulator.url + "/healthz").json() == {"status": "ok"}


def test_what_is_not_http_is_turned_away(simulator: Simulator) -> None:
    assert _raw_answer(simulator, b"\x16\x03\x01 hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert _raw_answer(simulator, b"GET /healthz HTTP/1.1\r\n" + b"a: b\r\n" * 10_930).startswith(b"HTTP/1.1 400 ")


def test_a_client_that_waits_to_be_told_is_told_to_go_on(simulator: Simulator) -> None:
    body = json.dumps(_ask("openai-chat", 1)).encode()
    answer = _raw_answer(simulator, _raw("/v1/chat/completions", body, "expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


def test_models_are_listed_to_those_with_a_key(simulator: Simulator) -> None:
    assert httpx.get(simulator.url + "/v1/models").status_code == 401
    listed = httpx.get(simulator.url + "/v1/models", headers=KEYS).json()["data"]
    assert {"openai-sim", "quick"} <= {model["id"] for model in listed}


def test_getting_what_wants_posting_is_not_allowed(simulator: Simulator) -> None:
    assert httpx.get(simulator.url + "/v1/chat/completions", headers=KEYS).status_code == 405


def test_vectors_have_length_one_and_mean_something(simulator: Simulator) -> None:
    texts = ["a blue whale", "the blue whale", "tax law"]
    data = simulator.post("/v1/embeddings", {"model": "m", "input": texts, "dimensions": 32}).json()["data"]
    first, near, far = (one["embedding"] for one in data)
    assert len(first) == 32
    assert sum(x * x for x in first) == pytest.approx(1, abs=1e-5)
    assert sum(map(float.__mul__, first, near)) > sum(map(float.__mul__, first, far))


def test_a_ranking_puts_the_nearest_document_first(simulator: Simulator) -> None:
    ask = {"model": "m", "query": "blue whale", "documents": ["tax law", "the blue whale", "a blue car"], "top_n": 2}
    response = simulator.post("/v1/rerank", ask)
    results = response.json()["results"]
    assert [result["index"] for result in results] == [1, 2]
    assert results[0]["relevance_score"] > results[1]["relevance_score"]
    assert simulator.truth_of(response).items == 2


def test_requests_in_flight_at_the_end_are_written_as_stopped(tmp_path: Path) -> None:
    with running(None, tmp_path / "truth.jsonl") as url:
        body = json.dumps(_ask("openai-chat", 100_000)).encode()
        host, port = urlsplit(url).netloc.split(":")
        client = socket.create_connection((host, int(port)), timeout=10)
        client.sendall(_raw("/v1/chat/completions", body))
        assert client.recv(1)
    assert [truth.outcome for truth in read_truth(tmp_path / "truth.jsonl")] == ["stopped"]
    with client:
        rest = b"".join(iter(lambda: client.recv(65536), b""))
    assert b"[DONE]" not in rest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_in_order(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "harness.simulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready http://127.0.0.1:")
        process.send_signal(number)
        assert process.communicate(timeout=10) == ("", "")
        assert process.returncode == 0


def test_a_port_that_is_taken_is_the_users_fault(simulator: Simulator) -> None:
    port = urlsplit(simulator.url).port
    assert port is not None
    with pytest.raises(UsageFault) as caught, running(port=port):
        pass
    assert str(port) in caught.value.message and "port" in caught.value.hint


def test_a_bad_configuration_is_told_by_the_process(tmp_path: Path) -> None:
    config = tmp_path / "sim.yaml"
    config.write_text("sed: 3")
    with pytest.raises(UsageFault, match="unknown field `sed`"), running(config):
        pass
