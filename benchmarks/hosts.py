"""What the benchmarks of swarms share: a Redis, ports, waiting for something, and what fake workers are asked for."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from harness.errors import UsageFault

TTFT_S, GAP_S = 0.2, 0.02


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What `many_workers` asks of one process of fakes."""

    port: int
    run: str
    folder: str
    workers: int
    chunks: int
    seconds: float
    target: str
    workload: str


@contextmanager
def redis_server() -> Iterator[tuple[str, psutil.Process]]:
    """A Redis as docker-compose.yml has it: its URL and its process."""
    program = shutil.which("redis-server")
    if program is None:
        raise UsageFault("redis-server: not found", "install Redis")
    port = free_port()
    words = ["--port", str(port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--maxmemory", "1gb"]
    process = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        until(lambda: listens(port), "Redis")
        yield f"redis://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody does."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def until(met: Callable[[], bool], what: str, limit_s: float = 120) -> None:
    """Wait for something. Raises UsageFault when it never comes."""
    end_s = time.monotonic() + limit_s
    while not met():
        if time.monotonic() > end_s:
            raise UsageFault(f"{what}: did not come in {limit_s:.0f} s", "is the machine busy?")
        time.sleep(0.05)


def size_of(paths: Iterator[Path]) -> int:
    """The bytes of some files."""
    return sum(path.stat().st_size for path in paths)


def ask(url: str) -> float:
    """How long a page takes to be answered, in seconds."""
    begin_s = time.monotonic()
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as answer:
        answer.read()
    return time.monotonic() - begin_s


def built(program: str) -> Path:
    """A program of `benchmarks/PROGRAM.c`, compiled. Raises UsageFault with the compiler's words."""
    source = Path(__file__).with_name(f"{program}.c")
    target = source.parent / ".build" / program
    target.parent.mkdir(exist_ok=True)
    command = ["cc", "-O2", "-o", str(target), str(source)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    except OSError as fault:
        raise UsageFault(f"cc: cannot be run: {fault.strerror}", "install a C compiler, such as gcc") from fault
    except subprocess.CalledProcessError as fault:
        raise UsageFault(f"cc: {fault.stderr.strip()}", f"see {source}") from fault
    return target
