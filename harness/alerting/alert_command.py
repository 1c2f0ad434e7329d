"""A program that is told of an alert: JSON on its stdin, a bound on its time, and only the start of what it prints."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from harness.alerting.webhook import Notice, Sent
from harness.inputs.secrecy import hidden, secrets_of_environment
from harness.records.alert_record import CommandSink

_MOST_OUTPUT = 2000
_LOOK_S = 0.05


def start_command(sink: CommandSink, notice: Notice, stopped: Callable[[], bool] = lambda: False) -> Sent:
    """Run it once. Nothing is raised. What it prints is shown only where it fails, without
    the secrets of its environment; the rest of it is thrown away. It is
    ended as soon as `stopped` says so: no program is left behind."""
    environment = {**os.environ, "TOKENSWARM_KEY": notice.key}
    try:
        process = subprocess.Popen(  # noqa: S603  (the user's own command, without a shell)
            sink.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return Sent(ok=False, again=True, said=f"{sink.argv[0]}: {why}")
    try:
        deadline_s = time.monotonic() + sink.timeout_s
        going_on = lambda: time.monotonic() < deadline_s and not stopped()  # noqa: E731
        printed, in_time = _talk(process, msgspec.json.encode(notice) + b"\n", going_on)
    finally:
        _end(process)
    if not in_time:
        return Sent(ok=False, again=True, said=f"{sink.argv[0]}: not done within {sink.timeout_s:g} s")
    if process.returncode != 0:
        words = hidden(" ".join(printed.decode(errors="replace").split()), secrets_of_environment())[:200]
        return Sent(ok=False, again=True, said=f"{sink.argv[0]}: exit code {process.returncode}: {words}".rstrip(": "))
    return Sent(ok=True)


def _talk(process: subprocess.Popen[bytes], told: bytes, going_on: Callable[[], bool]) -> tuple[bytes, bool]:
    """Write and read without ever waiting for long; what was printed, and whether it has ended while it may."""
    assert process.stdin is not None and process.stdout is not None
    printed = b""
    left = memoryview(told)
    with selectors.DefaultSelector() as ready:
        for pipe, event in ((process.stdin, selectors.EVENT_WRITE), (process.stdout, selectors.EVENT_READ)):
            os.set_blocking(pipe.fileno(), False)
            ready.register(pipe, event)
        while process.poll() is None and going_on():
            for key, _ in ready.select(_LOOK_S):
                if key.fileobj is process.stdout:
                    content = _read(process.stdout.fileno())
                    printed = (printed + content)[:_MOST_OUTPUT]
                    done = not content
                else:
                    left = left[_write(process.stdin.fileno(), left) :]
                    done = not left
                if done:
                    ready.unregister(key.fileobj)
                    with suppress(OSError):
                        key.fileobj.close()  # type: ignore[union-attr]
            if not ready.get_map():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_S)
    if not process.stdout.closed:
        printed = (printed + _read(process.stdout.fileno()))[:_MOST_OUTPUT]
    return printed, process.poll() is not None


def _read(descriptor: int) -> bytes:
    with suppress(BlockingIOError):
        return os.read(descriptor, 65536)
    return b""


def _write(descriptor: int, content: memoryview) -> int:
    """How much was written; all of it, where nobody wants to read."""
    try:
        return os.write(descriptor, content)
    except BlockingIOError:
        return 0
    except OSError:
        return len(content)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it, and what it started, where it has not ended by itself."""
    if process.poll() is None:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    process.wait()
