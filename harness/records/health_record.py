"""One row of `health.jsonl`: how the load generator itself fared in one second of one worker."""

from __future__ import annotations

from typing import Annotated

import msgspec

# Upper bounds of the classes of a lag; one more class holds what is beyond.
LAG_BOUNDS_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)

# What is beyond, only damage or a stranger makes, and the row is none.
_Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
_Moment = Annotated[int, msgspec.Meta(gt=-(1 << 53), lt=1 << 53)]
_Span = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
_Number = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]


class Health(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one worker process saw of itself in the second (or so) that ended at `t_ns`.

    `t_ns` is relative to the worker's anchor, like the times of its samples; `span_s` is the length of the interval.
    `loop_lag_...` are how late each beat of a 10 ms heartbeat was; a beat that was missed altogether counts with the
    time it had to wait. `loop_lag_counts` are the beats in the classes that `LAG_BOUNDS_S` divides. `cpu_share` is CPU
    time over wall time: 1 is one full core. `cpu_wait_share` is how much of the time the event loop was ready to run
    and waited for a core that others had (Linux only). `machine_cpu_share` is that of the whole machine, 1 being all
    cores. `schedule_lag_s` is the worst lag of an arrival sent in the interval (open load only). `gc_pause_s` is the
    longest collection, `gc_s` all of them together. None means not measured.
    """

    run: str
    worker: str
    repeat: _Count
    t_ns: _Moment
    span_s: _Span
    loop_lag_p50_s: _Number | None = None
    loop_lag_p99_s: _Number | None = None
    loop_lag_max_s: _Number | None = None
    loop_lag_counts: tuple[_Count, ...] = ()
    cpu_share: _Number | None = None
    cpu_wait_share: _Number | None = None
    machine_cpu_share: _Number | None = None
    schedule_lag_s: _Number | None = None
    gc_s: _Number | None = None
    gc_pause_s: _Number | None = None
    rss_bytes: _Count | None = None
    open_sockets: _Count | None = None
    ephemeral_ports_used: _Count | None = None
    ephemeral_ports: _Count | None = None
    in_flight: _Count | None = None
    users: _Count | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Health)


def encode_health(row: Health) -> bytes:
    """One line of `health.jsonl`, newline included."""
    return _encoder.encode(row) + b"\n"


def decode_health(line: bytes) -> Health:
    """The record in one line. Raises `msgspec.DecodeError` or its `ValidationError` when it is torn."""
    row: Health = _decoder.decode(line)
    return row
