"""What the bytes of a response amount to: events are cut and decoded, and what went wrong first names the error.

All of it is done when the response has ended; the stamps of its pieces were taken before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.attempts.alike import Alike, alike
from harness.attempts.batch_job import Course
from harness.attempts.prepare import Prepared
from harness.dialects.jobs import matched
from harness.dialects.wire import Delta, Dialect, Fault, JobEnd, added_usage, believed, merge_usage
from harness.errors import ErrorKind, classify
from harness.records.dialect_names import GENERATING
from harness.records.stream_event import BrokenFrame, EventTooLarge, StreamReader
from harness.sample import Echo, ServerTime, Usage
from harness.streams.stream_readers import reader_of
from harness.transport import Piece, Response
from harness.workloads.echo import echo_of

_TRIES = 4  # events of a stream that are tried as a pattern of the others


@dataclass(slots=True)
class Came:
    """What came of a request, in the end: its responses, and what ended them early."""

    course: Course = field(default_factory=Course)
    error: ErrorKind | None = None
    detail: str | None = None
    cancelled: bool = False

    @property
    def response(self) -> Response:
        """The response; of a job, that to what was sent last."""
        return self.course.last


@dataclass(slots=True)
class Reply:
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


def reply_of(came: Came, dialect: Dialect, prepared: Prepared) -> Reply:
    """Decode what came, and decide what it amounts to. The first thing that went wrong names the error."""
    code = prepared.prompt.code
    reply = Reply(code, keep=code is not None or prepared.workload.needs_text)
    response = came.response
    if response.head.status is not None and not 200 <= response.head.status < 300:
        _read_failure(reply, came, dialect)
    elif prepared.stream:
        _read_stream(reply, came, dialect)
    elif prepared.job is not None:
        _read_job(reply, came.course.end, dialect, prepared)
    elif response.complete:
        _add(reply, dialect.read_whole(came.response.body), None)
    if dialect.read_headers is not None and (reply.content or reply.items):
        _add_rest(reply, dialect.read_headers(response.head.headers))
    if came.error is not None and reply.error is None:
        reply.error, reply.detail = came.error, came.detail
    if reply.error is None and response.complete and not came.cancelled:
        _judge(reply, prepared.stream, dialect)
        if reply.error is None and reply.code is not None:
            _compare_codes(reply, reply.code)
    return reply


def _read_failure(reply: Reply, came: Came, dialect: Dialect) -> None:
    said = dialect.read_error(came.response.body)
    told = None if dialect.read_headers is None else dialect.read_headers(came.response.head.headers).error
    kind = said.error.type or ("" if told is None else told.type)
    reply.error = classify(came.response.head.status, kind)
    reply.detail = ": ".join(part for part in (kind, said.error.message) if part) or None
    if said.retry_after_s is not None:
        came.response.head.headers.setdefault("retry-after", f"{said.retry_after_s}")


def _read_job(reply: Reply, end: JobEnd | None, dialect: Dialect, prepared: Prepared) -> None:
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


def _reply_of_prompt(answer: bytes | Fault, dialect: Dialect) -> Reply:
    part = Reply()
    if isinstance(answer, Fault):
        part.error, part.detail = answer.kind, answer.detail
        return part
    _add(part, dialect.read_whole(answer), None)
    if part.error is None:
        _judge(part, stream=False, dialect=dialect)
    return part


def _read_stream(reply: Reply, came: Came, dialect: Dialect) -> None:
    reader = reader_of(dialect.framing)
    try:
        read_pieces(reply, came.response.pieces, reader, dialect)
    except EventTooLarge as error:
        reply.error, reply.detail = ErrorKind.MALFORMED, str(error)
    except BrokenFrame as error:
        _read_stray(reply, reader.stray, dialect)
        if reply.error is None or not reader.stray:
            reply.error, reply.detail = ErrorKind.MALFORMED, str(error)
    if came.response.complete and reply.error is None and reader.stray and not reply.ended:
        _read_stray(reply, reader.stray, dialect)


def read_pieces(reply: Reply, pieces: list[Piece], reader: StreamReader, dialect: Dialect) -> None:
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


def _read_stray(reply: Reply, stray: bytes, dialect: Dialect) -> None:
    """Bytes that are no event: the error that a server sent in place of its stream, or another page altogether."""
    said = dialect.read_error(stray).error
    if said.type:
        reply.error, reply.detail = classify(None, said.type), f"{said.type}: {said.message}"
    elif not reply.content:
        reply.error, reply.detail = ErrorKind.MALFORMED, f"not an event stream: {said.message}"


def _add(reply: Reply, delta: Delta, t_ns: int | None) -> None:
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


def _add_rest(reply: Reply, delta: Delta) -> None:
    """What few events of a stream say."""
    reply.usage = merge_usage(reply.usage, believed(delta.usage))
    reply.finish = delta.finish or reply.finish
    reply.server = believed(delta.server) or reply.server
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


def _judge(reply: Reply, stream: bool, dialect: Dialect) -> None:  # noqa: FBT001
    """Of a response that came whole over HTTP: whether it is also a whole, sensible reply."""
    if stream and not reply.ended:
        reply.error, reply.detail = ErrorKind.TRUNCATED, "the stream ended without its end marker"
    elif reply.refused:
        reply.error, reply.detail = ErrorKind.REFUSED, f"finish reason {reply.finish}"
    elif not (reply.content if dialect.kind in GENERATING else reply.items):
        reply.error, reply.detail = ErrorKind.EMPTY, f"no content; finish reason {reply.finish}"


def _compare_codes(reply: Reply, code: str) -> None:
    """Of a whole reply: whether it is the one that was asked for."""
    reply.echo = echo_of("".join(reply.said), code)
    if reply.echo == "other":
        reply.error, reply.detail = ErrorKind.MISMATCHED, "the reply holds the code of another request"
