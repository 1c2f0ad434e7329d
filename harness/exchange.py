"""perform(): one attempt becomes one sample. The only place where a request turns into numbers.

While bytes come in, each read is only stamped and kept; reply.py decodes them after the response has ended, so that
parsing never delays a stamp.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any, TypeVar

import gevent
import msgspec

from harness.attempts.batch_job import pursue
from harness.attempts.prepare import Prepared
from harness.attempts.rate_limits import read_limits, retry_after_s
from harness.attempts.reply import Came, Reply, reply_of
from harness.dialects import DIALECTS
from harness.errors import ErrorClass
from harness.inputs.secrecy import hidden, holds
from harness.plan import Scenario, Target, Workload
from harness.sample import LARGEST, Outcome, Sample, ServerTime, Usage, outcome_of
from harness.sockets.http_framing import TransportFault
from harness.transport import Connection
from harness.workloads.structured import valid

_WORD_CHARS = 100  # of what is a word of the provider's
_REQUEST_ID_HEADERS = (
    *("x-request-id", "request-id", "x-goog-request-id", "apim-request-id", "x-amzn-requestid", "x-debug-trace-id"),
    *("mistral-correlation-id", "x-kong-request-id"),
)
_DETAIL_CHARS = 300
PAUSE_AFTER_NO_CONTACT_S = 0.1
_KEPT_CHARS = 20_000


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


def perform(connection: Connection, prepared: Prepared, origin: Origin) -> Sample:
    """Send one request and return what happened. Never raises for what the network or the provider did.

    When the greenlet is killed while the request is under way, the sample is `cancelled`; the caller journals it and
    then ends (`gevent.GreenletExit` is swallowed here and told by the outcome).
    """
    attempt = _Attempt(connection, time.monotonic_ns())
    try:
        attempt.run(prepared)
    except TransportFault as fault:
        attempt.came.error, attempt.came.detail = fault.kind, fault.detail
        connection.close()
    except gevent.GreenletExit:
        attempt.came.cancelled = True
        connection.close()
    came = attempt.came
    whole = came.response.complete and came.error is None and not came.cancelled
    end_ns = (came.response.last_byte_ns if whole else None) or time.monotonic_ns()
    reply = reply_of(came, DIALECTS[prepared.target.dialect], prepared)
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
        self.reused = False
        self.connect_ns: int | None = None
        self.came = Came()

    def run(self, prepared: Prepared) -> None:
        """Raises TransportFault, and GreenletExit when it is killed."""
        deadline_ns = self.start_ns + int(self.connection.timeouts.total_s * 1e9)
        self.reused = self.connection.ready()
        if not self.reused:
            self.connection.connect()
            self.connect_ns = time.monotonic_ns()
        if prepared.job is None:
            self.connection.ask(prepared.wire, self.came.response, deadline_ns)
        else:
            pursue(self.connection, prepared.target, prepared.job, prepared.wire, self.came.course, deadline_ns)


def _sample(prepared: Prepared, origin: Origin, attempt: _Attempt, reply: Reply, end_ns: int) -> Sample:
    target, workload = prepared.target, prepared.workload
    anchor = origin.anchor_ns
    course, response = attempt.came.course, attempt.came.response
    headers = response.head.headers
    headers_wall_s = time.time() - (time.monotonic_ns() - (response.first_byte_ns or end_ns)) / 1e9
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
        outcome=Outcome.CANCELLED if attempt.came.cancelled else outcome_of(reply.error),
        error=None if attempt.came.cancelled else reply.error,
        error_detail=reply.detail,
        status=response.head.status,
        retry_after_s=retry_after_s(headers, headers_wall_s),
        request_id=_request_id(headers) if course.job is None else course.job[:_WORD_CHARS],
        reused=attempt.reused,
        usage=_plausible(reply.usage),
        text_chars=reply.text_chars if reply.content or reply.error is None else None,
        items=_items(attempt.came, reply),
        response_bytes=sum(each.body_bytes for each in course.responses),
        finish_reason=_short(reply.finish),
        fingerprint=_short(reply.fingerprint),
        stamps=response.stamps,
        server=_plausible(reply.server)
        or (_server_time(headers, streamed=workload.stream) if prepared.job is None else None),
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


_Told = TypeVar("_Told", Usage, ServerTime)


def _plausible(told: _Told | None) -> _Told | None:
    """What the provider says, without numbers that nothing can be (below 0, or 2^64 - 1 of a count that was turned
    round): these are not known, and no journal holds them."""
    if told is None:
        return None
    wrong = {
        name: None
        for name, value in msgspec.structs.asdict(told).items()
        if isinstance(value, int) and not 0 <= value < LARGEST
    }
    return msgspec.structs.replace(told, **wrong) if wrong else told


def _items(came: Came, reply: Reply) -> int | None:
    """What a good reply holds, at least one; what a job brought, also where that is not all."""
    if came.course.end is not None:
        return reply.items
    return (reply.items or 1) if reply.error is None and not came.cancelled else None


def _relative(t_ns: int | None, anchor_ns: int) -> int | None:
    return None if t_ns is None else t_ns - anchor_ns


def _short(word: str | None) -> str | None:
    return None if word is None else word[:_WORD_CHARS]


def _request_id(headers: dict[str, str]) -> str | None:
    return next((headers[name][:_WORD_CHARS] for name in _REQUEST_ID_HEADERS if name in headers), None)


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
