"""Stopping many users without stopping the event loop.

Locust starts a greenlet for each user that it stops, which takes it 50 ms for a thousand: meanwhile no socket is read,
and chunks of replies that still come in run together. A user that has been asked to stop already is spared that.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import gevent
from locust import User
from locust.runners import STATE_INIT, STATE_STOPPED, STATE_STOPPING, MasterRunner, Runner
from locust.user.task import LOCUST_STATE_RUNNING

_AT_ONCE = 20


def stop_softly(runner: Runner) -> None:
    """Ask users that are to stop a few at a time, before Locust does it for all at once. Where it stops a part of a
    class (a ramp down), the choice is Locust's."""
    stop_users = runner.stop_users

    def softly(user_classes_stop_count: dict[str, int]) -> None:
        for number, user in enumerate(list(_users(runner, user_classes_stop_count))):
            if user._state == LOCUST_STATE_RUNNING:  # noqa: SLF001  (Locust itself looks there)
                user.stop(force=False)
            if number % _AT_ONCE == 0:
                gevent.sleep(0)
        stop_users(user_classes_stop_count)

    inspect.stack()  # Locust looks there when it stops, and the first look takes some 20 ms
    if runner.environment.stop_timeout:
        runner.stop_users = softly  # type: ignore[method-assign]


def quit_after(runner: MasterRunner, linger_s: float) -> None:
    """End a planned run that has a web UI as Locust ends one that has none. It would tell its workers to stop, which
    makes them deaf for the stop timeout, and then quit without them. `linger_s`: for the page to get the last figures.
    """
    stop = runner.stop

    def end(send_stop_to_client: bool = True) -> None:  # noqa: FBT001, FBT002  (as Locust calls it)
        if not send_stop_to_client or runner.state in (STATE_INIT, STATE_STOPPING, STATE_STOPPED):
            stop(send_stop_to_client)
            return
        gevent.sleep(linger_s)
        runner.quit()

    runner.stop = end  # type: ignore[method-assign]


def _users(runner: Runner, counts: dict[str, int]) -> Iterator[Any]:
    """The users of classes that are to stop altogether."""
    there = runner.user_classes_count  # Locust counts them anew each time
    whole = {name for name, count in counts.items() if count and count >= there.get(name, 0)}
    for greenlet in runner.user_greenlets:
        user = greenlet.args[0] if greenlet.args else None
        if isinstance(user, User) and type(user).__name__ in whole:
            yield user
