"""The sample: what is known of one attempt. Journals and `samples.parquet` hold nothing else.

Times are integers in nanoseconds of the monotonic clock, relative to the worker's anchor (`Header.mono_ns`).
`None` means not measured; 0 means zero. One attempt is one sample; a retry is a new sample with the same
`seq` and a higher `attempt`.

History of the journal's schema
  1  first version
  2  `echo` (whose reply it was), `injected` and `repair_ns` (a fault made on purpose); the error `mismatched`.
     Journals of schema 1 are read as well: they have none of these.
  3  `text`, the reply itself where the workload keeps it; `usage.cache_write_tokens`. Older journals have neither.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from harness.errors import CLASS_OF, ErrorClass, ErrorKind
from harness.plan import Scenario

SCHEMA = 3
OLDEST_READ = 1

Echo = Literal["own", "other", "missing"]
# What is beyond, only damage or a stranger makes, and the line is no record. A float holds these exactly; in ns they
# are 104 days, in `Moment` 146 years.
LARGEST = 1 << 53
Whole = Annotated[int, msgspec.Meta(gt=-LARGEST, lt=LARGEST)]
Small = Annotated[int, msgspec.Meta(gt=-(1 << 31), lt=1 << 31)]
Moment = Annotated[int, msgspec.Meta(gt=-(1 << 62), lt=1 << 62)]


class Outcome(StrEnum):
    """How an attempt ended. Only `OK` is a success."""

    OK = "ok"
    FAILED = "failed"
    THROTTLED = "throttled"
    TRUNCATED = "truncated"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"  # by us: the drain limit passed
    DROPPED = "dropped"  # by us: never sent, too late (open load)


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of one reply. `output_tokens` is what is billed, reasoning included; `cached_tokens` is the part
    of `input_tokens` that was read from a cache, `cache_write_tokens` the part that was written to one."""

    source: Literal["provider", "estimated"]
    input_tokens: Whole | None = None
    output_tokens: Whole | None = None
    reasoning_tokens: Whole | None = None
    cached_tokens: Whole | None = None
    cache_write_tokens: Whole | None = None


class ServerTime(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server itself says the request took, and where it said so (`source`: a header or a field of the reply).

    `total_ns` is all of it; `headers_ns` until it sent its headers, which for a stream is all that a header can tell;
    `queue_ns` waiting, `prompt_ns` reading the prompt, `output_ns` making the output.
    """

    source: str
    headers_ns: Whole | None = None
    total_ns: Whole | None = None
    queue_ns: Whole | None = None
    prompt_ns: Whole | None = None
    output_ns: Whole | None = None


class RateLimit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one response tells of the provider's rate limits: how much there is of each in all, how much is left of it,
    and in how many seconds after the headers it is whole again. Which span a limit is for is seldom told; mostly it is
    a minute."""

    limit_requests: Whole | None = None
    remaining_requests: Whole | None = None
    reset_requests_s: float | None = None
    limit_tokens: Whole | None = None
    remaining_tokens: Whole | None = None
    reset_tokens_s: float | None = None
    limit_input_tokens: Whole | None = None
    remaining_input_tokens: Whole | None = None
    reset_input_tokens_s: float | None = None
    limit_output_tokens: Whole | None = None
    remaining_output_tokens: Whole | None = None
    reset_output_tokens_s: float | None = None


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="sample"):
    """One attempt.

    `start_ns` is stamped before connecting where a connection has to be made (then `connect_ns` is when TCP and
    TLS stood), else just before the first byte is written. `headers_ns` is the arrival of the response's first
    byte. `event_ns` holds the arrival of each content event (generated text, reasoning, refusal, tool
    arguments; for a reply that is not streamed: none). `first_text_ns` is the first visible text.
    `stamps` says who stamped the arrivals: the kernel as bytes reached the socket, or this program as it read them.
    `echo` (where the workload asks for it) says whose code a whole reply holds: its request's own, that of another, or
    none. `injected` names the fault that was made to happen to this attempt; `repair_ns`, in every attempt of a stage
    that injects one, is when it ends (then it may lie ahead).
    `turn` of a `conversation` counts from 1. `valid`: whether a whole reply that was to be JSON of a schema is that.
    A job is one attempt, from the first byte of what creates it to the last of its results: `headers_ns` is that of the
    first response, `status` that of the last, `usage` the sum over its prompts, `request_id` the provider's name of it.
    """

    run: str
    target: str
    dialect: str
    model: str
    workload: str
    stage: Small
    repeat: Small
    worker: str
    seq: Whole
    attempt: Small = 1
    prompt_id: str
    due_ns: Whole | None = None
    start_ns: Whole | None = None  # None: dropped, never sent
    connect_ns: Whole | None = None
    headers_ns: Whole | None = None
    event_ns: tuple[Whole, ...] = ()
    first_text_ns: Whole | None = None
    end_ns: Whole
    outcome: Outcome
    error: ErrorKind | None = None
    error_detail: str | None = None
    status: Whole | None = None
    retry_after_s: float | None = None
    request_id: str | None = None
    reused: bool | None = None
    usage: Usage | None = None
    text_chars: Whole | None = None
    items: Whole | None = None  # vectors or ranked documents in the reply; answered prompts of a job; 1 for a chat
    response_bytes: Whole | None = None
    finish_reason: str | None = None
    first_event_tokens: Whole | None = None  # tokens the first content event carried, where the wire tells
    fingerprint: str | None = None
    stamps: Literal["kernel", "user"] | None = None
    server: ServerTime | None = None
    limits: RateLimit | None = None  # how long to wait stands in `retry_after_s`
    echo: Echo | None = None
    text: str | None = None
    conversation: str | None = None
    turn: Whole | None = None
    max_tokens: Whole | None = None  # the cap of the reply that was asked for
    valid: bool | None = None
    injected: Scenario | None = None
    repair_ns: Whole | None = None

    @property
    def error_class(self) -> ErrorClass | None:
        """The class of `error`."""
        return None if self.error is None else CLASS_OF[self.error]


class Header(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="header"):
    """First line of a journal: who wrote it, and the anchors that turn its relative times into others.

    `mono_ns` and `wall_ns` were read together: absolute monotonic time = mono_ns + sample time, and wall time =
    wall_ns + sample time. `share` (k, n) says that this worker was the k-th of n. `clock_offset_ns` is how far this
    host's wall clock was ahead of the master's, known to `clock_error_ns` (None: not measured, as on the master's own
    machine).
    """

    schema: int
    run: str
    worker: str
    repeat: Small
    share: tuple[int, int]
    wall_ns: Moment
    mono_ns: Moment
    pid: int
    host: str
    clock_offset_ns: Moment = 0
    clock_error_ns: int | None = None


class Footer(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="footer"):
    """Last line of a journal that was closed in order. A journal without it was cut short."""

    samples: int
    end_ns: int


Line = Header | Sample | Footer

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Line)


def encode(line: Line) -> bytes:
    """One journal line, newline included."""
    return _encoder.encode(line) + b"\n"


def decode(line: bytes) -> Line:
    """The record in one journal line. Raises `msgspec.DecodeError` or its `ValidationError` when it is torn."""
    record: Line = _decoder.decode(line)
    return record


OUTCOME_OF: dict[ErrorKind, Outcome] = {
    ErrorKind.RATE_LIMIT: Outcome.THROTTLED,
    ErrorKind.QUOTA: Outcome.THROTTLED,
    ErrorKind.TRUNCATED: Outcome.TRUNCATED,
    ErrorKind.STALLED: Outcome.TIMED_OUT,
    ErrorKind.CONNECT_TIMEOUT: Outcome.TIMED_OUT,
    ErrorKind.READ_TIMEOUT: Outcome.TIMED_OUT,
    ErrorKind.TOTAL_TIMEOUT: Outcome.TIMED_OUT,
}


def outcome_of(error: ErrorKind | None) -> Outcome:
    """The outcome that a kind of error amounts to; ok when there is none."""
    return Outcome.OK if error is None else OUTCOME_OF.get(error, Outcome.FAILED)
