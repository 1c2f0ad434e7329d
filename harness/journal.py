"""Append-only JSONL, one file a worker. What was appended survives `kill -9` of the process: it is in the kernel.

A failed write raises: a run that cannot record must stop.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from harness.rundir import append_whole
from harness.sample import SCHEMA, Footer, Header, Sample, encode


def new_header(
    run: str, worker: str, repeat: int, share: tuple[int, int], clock: tuple[int, int | None] = (0, None)
) -> Header:
    """Who this process is, and its clocks now. `clock`: this host's offset to the master's, and its error."""
    return Header(
        schema=SCHEMA,
        run=run,
        worker=worker,
        repeat=repeat,
        share=share,
        wall_ns=time.time_ns(),
        mono_ns=time.monotonic_ns(),
        pid=os.getpid(),
        host=socket.gethostname(),
        clock_offset_ns=clock[0],
        clock_error_ns=clock[1],
    )


class Journal:
    """The journal of one worker, open for appending. The header is written when it is made."""

    def __init__(
        self,
        path: Path,
        run: str,
        worker: str,
        repeat: int,
        share: tuple[int, int],
        clock: tuple[int, int | None] = (0, None),
    ) -> None:
        self.path = path
        self.samples = 0
        self.header = new_header(run, worker, repeat, share, clock)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._write(encode(self.header))

    def append(self, sample: Sample) -> None:
        """Record one attempt, in one write. Raises OSError."""
        if not os.fstat(self._file).st_nlink:
            self._restore()
        self._write(encode(sample))
        self.samples += 1

    def close(self) -> None:
        """Write the footer, which says that nothing is missing, and close."""
        if self._file >= 0:
            if not os.fstat(self._file).st_nlink:
                self._restore()
            self._write(encode(Footer(samples=self.samples, end_ns=time.monotonic_ns() - self.header.mono_ns)))
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1

    def _restore(self) -> None:
        """Somebody deleted the file, or its folder, in the middle of the run: write it again from what the kernel holds
        of it. Raises OSError."""
        with Path(f"/proc/self/fd/{self._file}").open("rb") as gone:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            again = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
            while piece := gone.read(1 << 20):
                append_whole(again, piece)
        os.close(self._file)
        self._file = again

    def _write(self, line: bytes) -> None:
        append_whole(self._file, line)
