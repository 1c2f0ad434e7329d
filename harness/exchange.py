"""perform(): one attempt becomes one sample. The only place where a request turns into numbers.

While bytes come in, each read is only stamped and kept; events are cut and decoded after the response has ended,
so that parsing never delays a stamp.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

import gevent
import msgspec

from harness.alike import Alike, alike
from harness.batch_job import Course, pursue
from harness.dialect_names import GENERATING
from harness.dialects import DIALECTS
from harness.dialects.jobs import matched
from harness.dialects.wire import Delta, Dialect, Fault, JobEnd, added_usage, merge_usage
from harness.echo import echo_of
from harness.errors import ErrorClass, ErrorKind, classify
from harness.http_framing import TransportFault
from harness.plan import Scenario, Target, Workload
from harness.prepare import Prepared
from harness.rate_limits import read_limits, retry_after_s
from harness.sample import Echo, Outcome, Sample, ServerTime, Usage, outcome_of
from harness.secrecy import hidden, holds
from harness.stream_event import BrokenFrame, EventTooLarge, StreamReader
from harness.stream_readers import reader_of
from harness.structured import valid
from harness.transport import Connection, Piece, Response

_REQUEST_ID_HEADERS = (
    *("x-request-id", "request-id", "x-goog-request-id", "apim-request-id", "x-amzn-requestid", "x-debug-trace-id"),
)
_DETAIL_CHARS = 300
PAUSE_AFTER_NO_CONTACT_S = 0.1
_KEPT_CHARS = 20_000
_TRIES = 4  # events of a stream that are tried as a pattern of the others


@dataclass(frozen=True)
class Origin:
    """Where an attempt belongs: the fields of a sample that are known before it is sent.

    `anchor_ns` is the worker's monotonic anchor, to which all times of the sample are relative; `repair_ns` is so
    already.
    """

    run: str
    stage: int
    repeat: int
    worker: str
    seq: int
    anchor_ns: int
    attempt: int = 1
    due_ns: int | None = None
    injected: Scenario | None = None
    repair_ns: int | None = None


@dataclass(slots=True)
class _Reply:
    """What the deltas of a response add up to. `said` keeps the text where that is wanted."""

    code: str | None = None
    keep: bool = False
    said: list[str] = field(default_factory=list)
    echo: Echo | None = None

    event_ns: list[int] = field(default_factory=list)
    first_text_ns: int | None = None
    text_chars: int = 0
    usage: Usage | None = None
    finish: str | None = None
    fingerprint: str | None = None
    server: ServerTime | None = None
    items: int = 0
    ended: bool = False
    refused: bool = False
    content: bool = False
    error: ErrorKind | None = None
    detail: str | None = None


def perform(connection: Connection, prepared: Prepared, origin: Origin) -> Sample:
    """Send one request and return what happened. Never raises for what the network or the provider did.

    When the greenlet is killed while the request is under way, the sample is `cancelled`; the caller journals it and
    then ends (`gevent.GreenletExit` is swallowed here and told by the outcome).
    """
    attempt = _Attempt(connection, time.monotonic_ns())
    try:
        attempt.run(prepared)
    except TransportFault as fault:
        attempt.error, attempt.detail = fault.kind, fault.detail
        connection.close()
    except gevent.GreenletExit:
        attempt.cancelled = True
        connection.close()
    whole = attempt.response.complete and attempt.error is None and not attempt.cancelled
    end_ns = (attempt.response.last_byte_ns if whole else None) or time.monotonic_ns()
    reply = _reply_of(attempt, DIALECTS[prepared.target.dialect], prepared)
    return _without_secrets(_sample(prepared, origin, attempt, reply, end_ns), prepared.secrets)


def no_contact(sample: Sample) -> bool:
    """Whether no response came at all: a user then pauses, since a host that refuses must not be hammered in a tight
    loop."""
    return sample.headers_ns is None and sample.error_class is ErrorClass.TRANSPORT


def dropped(target: Target, workload: Workload, prompt_id: str, origin: Origin) -> Sample:
    """The sample of an arrival that could not be sent in time: it has a due time and an end, and never began."""
    return Sample(
        run=origin.run,
        target=target.name,
        dialect=target.dialect,
        model=target.model,
        workload=workload.name,
        stage=origin.stage,
        repeat=origin.repeat,
        worker=origin.worker,
        seq=origin.seq,
        prompt_id=prompt_id,
        due_ns=origin.due_ns,
        end_ns=time.monotonic_ns() - origin.anchor_ns,
        outcome=Outcome.DROPPED,
        repair_ns=origin.repair_ns,
    )


class _Attempt:
    """The part of an attempt that is timed: connect, ask."""

    def __init__(self, connection: Connection, start_ns: int) -> None:
        self.connection = connection
        self.start_ns = start_ns
        self.connect_ns: int | None = None
        self.course = Course()
        self.error: ErrorKind | None = None
        self.detail: str | None = None
        self.cancelled = False

    @property
    def response(self) -> Response:
        """The response; of a job, that to what was sent last."""
        return self.course.last

    def run(self, prepared: Prepared) -> None:
        """Raises TransportFault, and GreenletExit when it is killed."""
        deadline_ns = self.start_ns + int(self.connection.timeouts.total_s * 1e9)
        if not self.connection.ready():
            self.connection.connect()
            self.connect_ns = time.monotonic_ns()
        if prepared.job is None:
            self.connection.ask(prepared.wire, self.response, deadline_ns)
        else:
            pursue(self.connection, prepared.target, prepared.job, prepared.wire, self.course, deadline_ns)


def _reply_of(attempt: _Attempt, dialect: Dialect, prepared: Prepared) -> _Reply:
    """Decode what came, and decide what it amounts to. The first thing that went wrong names the error."""
    code = prepared.prompt.code
    reply = _Reply(code, keep=code is not None or prepared.workload.needs_text)
    response = attempt.response
    if response.head.status is not None and not 200 <= response.head.status < 300:
        _read_failure(reply, attempt, dialect)
    elif prepared.stream:
        _read_stream(reply, attempt, dialect)
    elif prepared.job is not None:
        _read_job(reply, attempt.course.end, dialect, prepared)
    elif response.complete:
        _add(reply, dialect.read_whole(attempt.response.body), None)
    if dialect.read_headers is not None and (reply.content or reply.items):
        _add_rest(reply, dialect.read_headers(response.head.headers))
    if attempt.error is not None and reply.error is None:
        reply.error, reply.detail = attempt.error, attempt.detail
    if reply.error is None and response.complete and not attempt.cancelled:
        _judge(reply, prepared.stream, dialect)
        if reply.error is None and reply.code is not None:
            _compare_codes(reply, reply.code)
    return reply


def _read_failure(reply: _Reply, attempt: _Attempt, dialect: Dialect) -> None:
    said = dialect.read_error(attempt.response.body)
    told = None if dialect.read_headers is None else dialect.read_headers(attempt.response.head.headers).error
    kind = said.error.type or ("" if told is None else told.type)
    reply.error = classify(attempt.response.head.status, kind)
    reply.detail = ": ".join(part for part in (kind, said.error.message) if part) or None
    if said.retry_after_s is not None:
        attempt.response.head.headers.setdefault("retry-after", f"{said.retry_after_s}")


def _read_job(reply: _Reply, end: JobEnd | None, dialect: Dialect, prepared: Prepared) -> None:
    """The replies of a job that has ended, together. It is whole if each of its prompts was answered whole."""
    if end is None:
        return
    answers, fault = matched(prepared.prompt.texts, end)
    parts = [_reply_of_prompt(answer, dialect) for answer in answers]
    for part in parts:
        reply.usage = added_usage(reply.usage, part.usage)
        reply.text_chars += part.text_chars
        reply.content = reply.content or part.content
        reply.items += part.error is None
    finishes = {part.finish for part in parts}
    reply.finish = finishes.pop() if len(finishes) == 1 else None
    wrong = next((part for part in parts if part.error is not None), None)
    if fault is not None:
        reply.error, reply.detail = fault.kind, fault.detail
    elif wrong is not None:
        reply.error, reply.detail = wrong.error, f"{len(parts) - reply.items} of {len(parts)} prompts: {wrong.detail}"


def _reply_of_prompt(answer: bytes | Fault, dialect: Dialect) -> _Reply:
    part = _Reply()
    if isinstance(answer, Fault):
        part.error, part.detail = answer.kind, answer.detail
        return part
    _add(part, dialect.read_whole(answer), None)
    if part.error is None:
        _judge(part, stream=False, dialect=dialect)
    return part


def _read_stream(reply: _Reply, attempt: _Attempt, dialect: Dialect) -> None:
    reader = reader_of(dialect.framing)
    try:
        _read_pieces(reply, attempt.response.pieces, reader, dialect)
    except EventTooLarge as error:
        reply.error, reply.detail = ErrorKind.MALFORMED, str(error)
    except BrokenFrame as error:
        _read_stray(reply, reader.stray, dialect)
        if reply.error is None or not reader.stray:
            reply.error, reply.detail = ErrorKind.MALFORMED, str(error)
    if attempt.response.complete and reply.error is None and reader.stray and not reply.ended:
        _read_stray(reply, reader.stray, dialect)


def _read_pieces(reply: _Reply, pieces: list[Piece], reader: StreamReader, dialect: Dialect) -> None:
    """Raises EventTooLarge, or BrokenFrame."""
    pattern: Alike | None = None
    tries = 0 if reply.keep or dialect.framing != "sse" else _TRIES  # what is not decoded cannot be kept
    t_ns = number = 0
    while number < len(pieces):
        begin = 0
        if pattern is not None and reader.between:
            count, chars = pattern.run(pieces, number)
            reply.event_ns += [t_ns for t_ns, _ in pieces[number : number + count]]
            reply.text_chars += chars
            number += count
            if number == len(pieces):
                break
            count, chars, begin = pattern.take(pieces[number][1])
            reply.event_ns += [pieces[number][0]] * count
            reply.text_chars += chars
        t_ns, data = pieces[number]
        number += 1
        if begin == len(data):
            continue
        events = reader.feed(data[begin:])
        for event in events:
            delta = dialect.read(event.event, event.data)
            _add(reply, delta, t_ns)
        if tries and pattern is None and events and delta.text and reader.between:
            pattern, tries = alike(data, delta, dialect), tries - 1
    for event in reader.flush():
        _add(reply, dialect.read(event.event, event.data), t_ns)


def _read_stray(reply: _Reply, stray: bytes, dialect: Dialect) -> None:
    """Bytes that are no event: the error that a server sent in place of its stream, or another page altogether."""
    said = dialect.read_error(stray).error
    if said.type:
        reply.error, reply.detail = classify(None, said.type), f"{said.type}: {said.message}"
    elif not reply.content:
        reply.error, reply.detail = ErrorKind.MALFORMED, f"not an event stream: {said.message}"


def _add(reply: _Reply, delta: Delta, t_ns: int | None) -> None:
    text = delta.text
    if text or delta.content:
        reply.content = True
        if t_ns is not None:
            reply.event_ns.append(t_ns)
            if reply.first_text_ns is None and (text or delta.refusal):
                reply.first_text_ns = t_ns
        reply.text_chars += len(text)
        if reply.keep:
            reply.said.append(text)
    if delta.fingerprint is not None:
        reply.fingerprint = delta.fingerprint
    if (
        delta.usage is not None
        or delta.finish is not None
        or delta.end
        or delta.refused
        or delta.refusal
        or delta.items
        or delta.server is not None
        or delta.error is not None
        or delta.malformed is not None
    ):
        _add_rest(reply, delta)


def _add_rest(reply: _Reply, delta: Delta) -> None:
    """What few events of a stream say."""
    reply.usage = merge_usage(reply.usage, delta.usage)
    reply.finish = delta.finish or reply.finish
    reply.server = delta.server or reply.server
    reply.items = max(reply.items, delta.items)
    reply.ended = reply.ended or delta.end
    reply.refused = reply.refused or delta.refused or bool(delta.refusal)
    if reply.error is not None:
        return
    if delta.error is not None:
        reply.error = classify(None, delta.error.type)
        reply.detail = ": ".join(part for part in (delta.error.type, delta.error.message) if part)
    elif delta.malformed is not None:
        reply.error, reply.detail = ErrorKind.MALFORMED, delta.malformed


def _judge(reply: _Reply, stream: bool, dialect: Dialect) -> None:  # noqa: FBT001
    """Of a response that came whole over HTTP: whether it is also a whole, sensible reply."""
    if stream and not reply.ended:
        reply.error, reply.detail = ErrorKind.TRUNCATED, "the stream ended without its end marker"
    elif reply.refused:
        reply.error, reply.detail = ErrorKind.REFUSED, f"finish reason {reply.finish}"
    elif not (reply.content if dialect.kind in GENERATING else reply.items):
        reply.error, reply.detail = ErrorKind.EMPTY, f"no content; finish reason {reply.finish}"


def _compare_codes(reply: _Reply, code: str) -> None:
    """Of a whole reply: whether it is the one that was asked for."""
    reply.echo = echo_of("".join(reply.said), code)
    if reply.echo == "other":
        reply.error, reply.detail = ErrorKind.MISMATCHED, "the reply holds the code of another request"


def _sample(prepared: Prepared, origin: Origin, attempt: _Attempt, reply: _Reply, end_ns: int) -> Sample:
    target, workload = prepared.target, prepared.workload
    anchor = origin.anchor_ns
    response = attempt.response
    headers = response.head.headers
    headers_wall_s = time.time() - (time.monotonic_ns() - (response.first_byte_ns or end_ns)) / 1e9
    course = attempt.course
    return Sample(
        run=origin.run,
        target=target.name,
        dialect=target.dialect,
        model=target.model,
        workload=workload.name,
        stage=origin.stage,
        repeat=origin.repeat,
        worker=origin.worker,
        seq=origin.seq,
        attempt=origin.attempt,
        prompt_id=prepared.prompt.id,
        due_ns=origin.due_ns,
        start_ns=attempt.start_ns - anchor,
        connect_ns=_relative(attempt.connect_ns, anchor),
        headers_ns=_relative(course.responses[0].first_byte_ns, anchor),
        event_ns=tuple(t_ns - anchor for t_ns in reply.event_ns),
        first_text_ns=_relative(reply.first_text_ns, anchor),
        end_ns=end_ns - anchor,
        outcome=Outcome.CANCELLED if attempt.cancelled else outcome_of(reply.error),
        error=None if attempt.cancelled else reply.error,
        error_detail=reply.detail,
        status=response.head.status,
        retry_after_s=retry_after_s(headers, headers_wall_s),
        request_id=_request_id(headers) if course.job is None else course.job[:100],
        reused=attempt.connect_ns is None,
        usage=reply.usage,
        text_chars=reply.text_chars if reply.content or reply.error is None else None,
        items=_items(attempt, reply),
        response_bytes=sum(each.body_bytes for each in course.responses),
        finish_reason=reply.finish,
        fingerprint=reply.fingerprint,
        stamps=response.stamps,
        server=reply.server or (_server_time(headers, streamed=workload.stream) if prepared.job is None else None),
        limits=read_limits(headers, headers_wall_s),
        echo=reply.echo,
        text="".join(reply.said)[:_KEPT_CHARS] if workload.needs_text and reply.content else None,
        conversation=prepared.prompt.conversation,
        turn=prepared.prompt.turn,
        max_tokens=prepared.prompt.max_tokens if prepared.job is None else None,
        valid=valid("".join(reply.said)) if workload.structured and reply.error is None and reply.content else None,
        injected=origin.injected,
        repair_ns=origin.repair_ns,
    )


def _items(attempt: _Attempt, reply: _Reply) -> int | None:
    """What a good reply holds, at least one; what a job brought, also where that is not all."""
    if attempt.course.end is not None:
        return reply.items
    return (reply.items or 1) if reply.error is None and not attempt.cancelled else None


def _relative(t_ns: int | None, anchor_ns: int) -> int | None:
    return None if t_ns is None else t_ns - anchor_ns


def _request_id(headers: dict[str, str]) -> str | None:
    return next((headers[name][:100] for name in _REQUEST_ID_HEADERS if name in headers), None)


_SECONDS = re.compile(r"^\d{1,9}(\.\d{1,9})?$")
_MILLISECONDS_HEADERS = ("openai-processing-ms", "x-envoy-upstream-service-time")
_SERVER_TIMING = re.compile(r";\s*dur=(\d{1,9}(?:\.\d{1,9})?)")


def _server_time(headers: dict[str, str], *, streamed: bool) -> ServerTime | None:
    """What the headers say of the server's own time; of a stream they can only know the time until themselves.

    `server-timing` (W3C) may name several spans: the longest stands.
    """
    for name in _MILLISECONDS_HEADERS:
        if _SECONDS.match(headers.get(name, "")) and float(headers[name]) > 0:  # some services fill in 0 or -1
            return _told_by(name, float(headers[name]), streamed=streamed)
    spans = [float(found) for found in _SERVER_TIMING.findall(headers.get("server-timing", "")[:1000])]
    return _told_by("server-timing", max(spans), streamed=streamed) if spans else None


def _told_by(name: str, milliseconds: float, *, streamed: bool) -> ServerTime:
    time_ns = round(milliseconds * 1e6)
    return ServerTime(source=name, headers_ns=time_ns, total_ns=None if streamed else time_ns)


_FOREIGN = ("error_detail", "request_id", "finish_reason", "fingerprint", "text")  # in the provider's words


def _without_secrets(sample: Sample, secrets: tuple[str, ...]) -> Sample:
    """The sample with all secrets cut out of what the provider said, and its detail short."""
    said = {name: value for name in _FOREIGN if (value := getattr(sample, name)) is not None}
    changed = {name: hidden(value, secrets) for name, value in said.items() if holds(value, secrets)}
    if sample.error_detail is not None:
        changed["error_detail"] = changed.get("error_detail", sample.error_detail)[:_DETAIL_CHARS]
    return msgspec.structs.replace(sample, **changed) if changed else sample


def describe(sample: Sample) -> dict[str, Any]:
    """What Locust's `request` event is told of an attempt besides its name: milliseconds, bytes, exception."""
    answered = sample.headers_ns is not None and sample.start_ns is not None
    failure = None if sample.outcome is Outcome.OK else AttemptFailed(_failure_text(sample))
    return {
        "response_time": (sample.end_ns - (sample.start_ns or 0)) / 1e6 if answered else None,
        "response_length": sample.response_bytes or 0,
        "exception": failure,
    }


def _failure_text(sample: Sample) -> str:
    """Without the detail, so that Locust counts like failures together."""
    status = f" (HTTP {sample.status})" if sample.status not in (None, 200) else ""
    return f"{sample.error or sample.outcome}{status}"


class AttemptFailed(Exception):  # noqa: N818
    """An attempt that did not succeed, in the form that Locust's statistics want."""
