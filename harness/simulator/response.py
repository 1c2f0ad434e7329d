"""Requests and responses without their sockets: what is to be written, when, and what a fault makes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from harness.simulator.config import Fault, Provider
from harness.simulator.draws import Draws
from harness.simulator.faults import PAGE, strike_stream, strike_whole
from harness.simulator.load import Load
from harness.simulator.refusals import Headers, refusal
from harness.simulator.skill import Answer
from harness.simulator.speech import Asked, Event, Family, Reply, Speaker
from harness.simulator.truth import Truth

JSON = "application/json"
_WORDS_APART = 7
_OVERPROMISED_BYTES = 64
_STREAM_PROMISED_BYTES = 2**30
_ERROR = "Simulated fault: error_event."
UNANSWERED = ("refuse", "timeout", "html")
_UNENDED = ("truncate", "truncate_chunked", "wrong_content_length")


@dataclass(frozen=True, slots=True)
class Request:
    """A request, read to its end at `received_ns`. Header names are lower case. `place`: how many came before it on the
    same connection."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    received_ns: int
    too_large: bool = False
    place: int = 0


@dataclass(slots=True, kw_only=True)
class Response:
    """What to write, and when. Times are seconds after the request was received.

    `length` is the promised Content-Length, None for chunked transfer. A `whole` response is written in one
    piece with its head. With `byte_s` the head comes a byte at a time, that far apart. `outcome` is what the truth
    will say if all of it is written. `gap_s` draws the time of one more token, which `load` and `pace` stretch.
    `network_s` comes on top of all times.
    """

    truth: Truth
    family: Family
    status: int
    events: Iterator[Event]
    outcome: str
    content_type: str = JSON
    headers: Headers = field(default_factory=list)
    length: int | None = None
    whole: bool = True
    close: bool = False
    head_s: float = 0.0
    first_s: float = 0.0
    gap_s: Callable[[], float] = lambda: 0.0
    pace: float = 1.0
    network_s: float = 0.0
    stall_s: float | None = None
    byte_s: float | None = None
    load: Load | None = None
    reply: Reply | None = None
    recorded: bool = True


def reply_to(
    asked: Asked, request_id: str, provider: Provider, draws: Draws, number: int, answer: Answer | None = None
) -> Reply:
    """The reply without its fault: how long, how much of it thought. An answer to a question is as long as it is."""
    cap = asked.max_tokens or provider.default_output_tokens
    if asked.texts is not None:
        return Reply(id=request_id, created=0, asked=asked, text_tokens=_items(asked))
    tokens = cap if draws.reply_tokens is None else min(cap, draws.reply_tokens)
    if answer is not None:
        tokens = min(cap, provider.reasoning_tokens + len(answer.words))
    reasoning = min(provider.reasoning_tokens, tokens)
    return Reply(
        id=request_id,
        created=int(time.time()),
        asked=asked,
        first_word=number * _WORDS_APART,
        reasoning_tokens=reasoning,
        text_tokens=tokens - reasoning,
        cached_tokens=int(asked.input_tokens * provider.cached_share) if draws.cached else 0,
        tokens_per_chunk=provider.tokens_per_chunk,
        show_reasoning=provider.show_reasoning,
        cut=asked.max_tokens is not None and tokens == asked.max_tokens and not _said_all(answer, tokens - reasoning),
        answer=None if answer is None else answer.words,
    )


def _said_all(answer: Answer | None, text_tokens: int) -> bool:
    return answer is not None and len(answer.words) <= text_tokens


def _items(asked: Asked) -> int:
    """How many vectors or ranked documents are wanted."""
    if asked.ranked:
        return min(len(asked.texts or ()) - 1, asked.top or 2**31)
    return len(asked.texts or ())


def plain(truth: Truth, family: Family, status: int, body: bytes) -> Response:
    """A response that is written at once. Without a body there is no piece that its head could go with."""
    return Response(
        truth=truth,
        family=family,
        status=status,
        events=iter([Event(body)]),
        outcome="complete",
        length=len(body),
        whole=bool(body),
    )


def spoken(
    reply: Reply,
    speaker: Speaker,
    truth: Truth,
    provider: Provider,
    draws: Draws,
    fault: Fault | None,
    load: Load,
    place: int = 0,
) -> Response:
    """The response that speaks `reply` under `fault`. It has entered `load`; whoever ends it leaves. `place`: the
    request's on its connection."""
    now_s = truth.received_ns * 1e-9
    load.enter(now_s)
    if fault is not None and fault.kind == "empty":
        reply = replace(reply, reasoning_tokens=0, text_tokens=0, cut=False)
    pace = draws.pace * (fault.factor if fault is not None and fault.kind == "slow" else 1.0)
    wait_s = load.asleep_s(now_s) + (provider.new_connection_s if place == 0 else 0.0)
    last = provider.requests_per_connection is not None and place + 1 >= provider.requests_per_connection
    response = Response(
        truth=truth,
        family=speaker.family,
        status=200,
        events=iter(()),
        outcome="complete" if fault is None else f"fault:{fault.kind}",
        close=last or (fault is not None and fault.kind in _UNENDED),
        first_s=wait_s + first_s(reply, provider, draws) * load.first_factor * pace,
        gap_s=draws.gap_s,
        pace=pace,
        network_s=provider.network_s,
        stall_s=fault.stall_s if fault else None,
        byte_s=fault.byte_s if fault is not None and fault.kind == "slow_headers" else None,
        load=load,
        reply=reply,
    )
    if speaker.stream is not None and reply.asked.stream:
        _stream_into(response, speaker, reply, provider.headers_share, fault)
    else:
        _whole_into(response, speaker, reply, fault)
    if fault is not None and fault.kind in UNANSWERED:
        no_reply_into(response, fault)
    return response


def first_s(reply: Reply, provider: Provider, draws: Draws) -> float:
    """The time to first content of an idle provider."""
    prefill_s = provider.prefill_s_per_input_token * (reply.asked.input_tokens - reply.cached_tokens)
    items = 0 if reply.asked.texts is None else len(reply.asked.texts)
    return draws.ttft_s + prefill_s + provider.per_item_s * items


def _stream_into(response: Response, speaker: Speaker, reply: Reply, headers_share: float, fault: Fault | None) -> None:
    assert speaker.stream is not None
    response.whole = False
    response.head_s = response.first_s * headers_share
    response.content_type = speaker.content_type if reply.asked.framed else JSON
    response.events = speaker.stream(reply)
    if fault is not None:
        error = speaker.error_event(reply, _ERROR)
        response.events = strike_stream(response.events, fault, reply.content_events, error)
        response.length = _STREAM_PROMISED_BYTES if fault.kind == "wrong_content_length" else None


def _whole_into(response: Response, speaker: Speaker, reply: Reply, fault: Fault | None) -> None:
    body = Event(speaker.whole(reply), reply.output_tokens)
    if reply.asked.texts is None:
        slowness = response.pace * (response.load.gap_factor if response.load else 1.0)
        response.first_s += slowness * gaps_s(reply, response.gap_s)
    response.head_s = response.first_s
    response.events, response.length = iter([body]), len(body.data)
    if fault is None:
        return
    error_body = refusal(speaker.family, "server_error", _ERROR, reply.id).body
    if fault.kind in ("truncate_chunked", "huge_event"):  # their length is not told beforehand
        response.events, response.length = iter(strike_whole(body, fault, error_body)), None
        return
    events = list(strike_whole(body, fault, error_body))
    promised = len(body.data) if fault.kind == "truncate" else sum(len(event.data) for event in events)
    response.events = iter(events)
    response.length = promised + (_OVERPROMISED_BYTES if fault.kind == "wrong_content_length" else 0)


def gaps_s(reply: Reply, gap_s: Callable[[], float]) -> float:
    """The time from the first content to the last, of an idle provider."""
    sizes = [tokens for _, tokens in chain(reply.reasoning(), reply.text())]
    return sum(gap_s() * tokens for tokens in sizes[1:])


def no_reply_into(response: Response, fault: Fault) -> None:
    """A web page, nothing, or the connection closed, where the reply should be."""
    closes = Event(b"", act="close")
    events = {"html": [Event(PAGE)], "timeout": [Event(b"", act="stall"), closes], "refuse": [closes]}[fault.kind]
    response.content_type = "text/html; charset=utf-8"
    response.events, response.whole, response.length = iter(events), True, sum(len(event.data) for event in events)
