"""A job on sockets: one request after another, with pauses, until it has ended. Which requests: the dialect says.

Whatever fails on the way ends the job, and is recorded as what became of it: nothing is sent a second time in secret.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import gevent

from harness.attempts.prepare import wire_of
from harness.dialects.wire import JobEnd, Step
from harness.errors import ErrorKind
from harness.plan import Target
from harness.sockets.http_framing import TransportFault
from harness.transport import Connection, Response

_GROWTH = 1.1  # of the pause from one look at a job to the next


@dataclass(slots=True)
class Course:
    """How far an attempt came: its responses in their order, the last of which may be cut short or a failure. Of a job
    also the provider's name for it, and its end if it was seen."""

    responses: list[Response] = field(default_factory=lambda: [Response()])
    job: str | None = None
    end: JobEnd | None = None

    @property
    def last(self) -> Response:
        """The response to what was sent last."""
        return self.responses[-1]


def pursue(connection: Connection, target: Target, first: Step, wire: bytes, course: Course, deadline_ns: int) -> None:
    """Send the steps of a job, of which the first has the bytes `wire`, until its end, or until a response that is not
    2xx. `course` tells at any time how far it came. Raises TransportFault, also where `deadline_ns` passes."""
    step, pause_s = first, target.polling.first_s
    connection.ask(wire, course.last, deadline_ns)
    while 200 <= (course.last.head.status or 0) < 300:
        following = step.then(course.last.body)
        if isinstance(following, JobEnd):
            course.end = following
            return
        step = following
        course.job = step.job or course.job
        if step.poll:
            _pause(pause_s, deadline_ns)
            pause_s = min(pause_s * _GROWTH, target.polling.most_s)
        if not connection.ready():
            connection.connect()
        course.responses.append(Response())
        connection.ask(wire_of(target, step.request), course.last, deadline_ns)


def _pause(pause_s: float, deadline_ns: int) -> None:
    left_s = (deadline_ns - time.monotonic_ns()) / 1e9
    gevent.sleep(max(0.0, min(pause_s, left_s)))
    if left_s <= pause_s:
        raise TransportFault(ErrorKind.TOTAL_TIMEOUT, "the job had not ended in time")
