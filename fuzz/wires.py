"""What comes over a network, as functions of its bytes: HTTP, server-sent events, dialects, rate limits, the relay.

A provider's bytes never make anything raise, and however they are cut into reads they say the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from fuzz.files import folder
from harness.attempts.alike import alike
from harness.attempts.rate_limits import read_limits, retry_after_s
from harness.attempts.reply import Reply, read_pieces
from harness.dialects import DIALECTS
from harness.dialects.jobs import matched
from harness.dialects.wire import Ask, Delta, Dialect, JobEnd, Step, believed
from harness.errors import UsageFault
from harness.journals.collect import append
from harness.journals.redis_client import connect
from harness.journals.relay_entries import read_acked, read_end, read_ends, read_entry
from harness.records.stream_event import BrokenFrame, EventTooLarge
from harness.sockets.http_framing import Framing, TransportFault
from harness.sse import SseReader
from harness.streams.stream_readers import reader_of

_SEPARATOR = b"\x1e"
_ASK = Ask(model="m", texts=("one", "two"), max_tokens=5, temperature=0, stream=False, key="k")
_STEPS = 8  # of a job


def cut(data: bytes) -> list[bytes]:
    """The data in pieces, always the same ones for the same data."""
    rng = random.Random(data[:64])
    places = sorted(rng.randrange(len(data) + 1) for _ in range(min(len(data), 12)))
    return [data[begin:end] for begin, end in zip([0, *places], [*places, len(data)], strict=True)]


def sse(data: bytes) -> None:
    """A stream of events: no more comes out than went in, and a cut changes nothing."""
    seen = []
    for pieces in ([data], cut(data)):
        reader = SseReader(max_event_bytes=4096)
        events, large = [], False
        try:
            for piece in pieces:
                events += reader.feed(piece)
            events += reader.flush()
        except EventTooLarge:
            large = True
        assert sum(len(event.data) for event in events) <= len(data)
        seen.append((events if not large else None, large))
    if not any(large for _, large in seen):
        assert seen[0] == seen[1]


def http(data: bytes) -> None:
    """A response: head, body and end are the same in one read and in many, or it is refused."""
    whole, pieces = _followed([data]), _followed(cut(data))
    if whole is not None and pieces is not None and whole[0].complete and pieces[0].complete:
        assert whole[0].head.status == pieces[0].head.status
        assert whole[1] == pieces[1]


def _followed(reads: list[bytes]) -> tuple[Framing, bytes] | None:
    """By the rule of the transport. None: refused."""
    framing, held, body = Framing(), list[bytes](), b""
    try:
        for number, data in enumerate(reads, 1):
            held.append(data)
            if framing.quick and not framing.may_be_over(data) and number < len(reads):
                continue
            body += b"".join(framing.parse(each) for each in held)
            held.clear()
            if framing.complete:
                break
        else:
            framing.end(sum(map(len, reads)), len(body))
    except TransportFault:
        return None
    finally:
        framing.release()
    assert len(body) <= sum(map(len, reads))
    return framing, body


def headers(data: bytes) -> None:
    """What headers say of rate limits."""
    lines = [line.partition(b":") for line in data.split(b"\n")]
    found = {name.decode("latin-1").strip().lower(): value.decode("latin-1") for name, _, value in lines}
    read_limits(found, 1.7e9)
    waits_s = retry_after_s(found, 1.7e9)
    assert waits_s is None or 0 <= waits_s < 1e10


def dialect(name: str) -> Callable[[bytes], None]:
    """What one dialect reads: an event, a stream of them in two cuts, a whole body, an error, the answers of a job."""
    spoken = DIALECTS[name]

    def read(data: bytes) -> None:
        kind, rest = (data[0] % 4, data[1:]) if data else (0, b"")
        if kind == 0:
            event, _, body = rest.partition(b"\n")
            _check(spoken.read(event.decode("utf-8", "replace"), body))
        elif kind == 1:
            _stream(spoken, rest)
        elif kind == 2:
            _check(spoken.read_whole(rest))
        else:
            said = spoken.read_error(rest)
            assert len(said.error.message) <= 500
            if spoken.job is not None:
                _job(spoken, rest.split(_SEPARATOR))

    return read


def _check(delta: Delta) -> None:
    for part in (delta.malformed, None if delta.error is None else delta.error.message):
        assert part is None or len(part) < 4096
    for told in (believed(delta.usage), believed(delta.server)):
        assert msgspec.json.encode(told)


def _stream(spoken: Dialect, data: bytes) -> None:
    told = []
    for pieces in ([data], cut(data)):
        for keep in (False, True):
            reply = Reply(keep=keep)
            with suppress(EventTooLarge, BrokenFrame):
                read_pieces(reply, [(at, piece) for at, piece in enumerate(pieces)], reader_of(spoken.framing), spoken)
            told.append((reply.text_chars, len(reply.event_ns), reply.usage, reply.finish, reply.error, reply.ended))
    assert len(set(map(repr, told))) == 1, told
    msgspec.json.encode([reply.usage, reply.server])
    events = SseReader().feed(data) if spoken.framing == "sse" else []
    if len(events) == 1:
        alike(data, spoken.read(events[0].event, events[0].data), spoken)


def _job(spoken: Dialect, answers: list[bytes]) -> None:
    assert spoken.job is not None
    step: Step | JobEnd = spoken.job(_ASK)
    for answer in answers[:_STEPS]:
        if isinstance(step, JobEnd):
            break
        assert "\r" not in step.request.path + str(step.request.headers)
        assert "\n" not in step.request.path
        step = step.then(answer)
    if isinstance(step, JobEnd):
        matched(_ASK.texts, step)


def relay(data: bytes) -> None:
    """What stands in Redis: an entry of a worker's journal, where things stand, and a URL."""
    worker, journal, offset, lines, url, *_ = [*data.split(_SEPARATOR), b"", b"", b"", b"", b""]
    entry = read_entry({b"worker": worker, b"journal": journal, b"offset": offset, b"data": lines})
    if entry is not None:
        path: Path = folder() / "copy.jsonl"
        path.write_bytes(b"a line\n")
        size, written = append(path, entry.offset, entry.data)
        assert size <= 7 + len(lines)
        assert written <= len(lines)
    read_ends({worker: offset, journal: lines})
    read_acked(lines)
    read_end(offset)
    with suppress(UsageFault):
        connect(url.decode("utf-8", "replace")).close()
