"""The clients of our own making: tokenswarm itself, the naive Locust user, the SDK, and the floor in C."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.hosts import built
from benchmarks.timing import Said, Stream, read_streams
from benchmarks.workloads import PROMPT_TOKENS, TOKENS, Load
from harness.sample import Sample, decode

HERE = Path(__file__).parent
ROOT = HERE.parent
BUILD = HERE / ".build"
_BIN = Path(sys.executable).parent
_DRAIN_S = 30


@dataclass(frozen=True)
class Job:
    """One run that a client is asked for. It may write into `folder` only."""

    url: str
    load: Load
    folder: Path

    @property
    def out(self) -> Path:
        """Where the benchmark's own clients put their records."""
        return self.folder / "streams.jsonl"


@dataclass(frozen=True)
class Client:
    """A client: how it is started, and where its numbers are.

    `streams` reads its stamps, request by request, where it has any; `said` reads the figures it reports.
    """

    name: str
    what: str
    command: Callable[[Job], list[str]]
    variables: Callable[[Job], dict[str, str]] = field(default=lambda _job: {})
    streams: Callable[[Job], list[Stream]] | None = None
    said: Callable[[Job], Said] | None = None


def _locust(job: Job, locustfile: Path, host: str) -> list[str]:
    load = job.load
    rate = load.start_rate or load.streams
    command = [str(_BIN / "locust"), "-f", str(locustfile), "-H", host, "--headless", "--only-summary"]
    command += ["-u", str(load.streams), "-r", f"{rate:g}", "-t", f"{load.duration_s:g}s"]
    return [*command, "--stop-timeout", str(_DRAIN_S), "--loglevel", "WARNING", "--exit-code-on-error", "0"]


def _journalling(job: Job, locustfile: Path) -> list[str]:
    command = _locust(job, locustfile, f"{job.url}/v1")
    command += ["--input-tokens", str(PROMPT_TOKENS), "--output-tokens", str(TOKENS)]
    return [*command, "--run-dir", str(job.folder / "run")]


def _tokenswarm(job: Job) -> list[str]:
    return _journalling(job, ROOT / "locustfiles" / "openai_compatible.py")


def _journal(job: Job) -> list[Stream]:
    streams = []
    for path in (job.folder / "run" / "journal").glob("*.jsonl"):
        header, *samples = map(decode, path.read_bytes().splitlines())
        base_ns = getattr(header, "mono_ns", 0)
        streams += [
            Stream(
                id=sample.request_id or "",
                start_ns=base_ns + (sample.start_ns or 0),
                event_ns=tuple(base_ns + event_ns for event_ns in sample.event_ns),
            )
            for sample in samples
            if isinstance(sample, Sample)
        ]
    return streams


def _user_stamps(job: Job) -> list[str]:
    return _journalling(job, HERE / "user_stamps.py")


def _naive(job: Job) -> list[str]:
    return _locust(job, HERE / "naive_user.py", job.url)


def _sdk(job: Job) -> list[str]:
    load = job.load
    arguments = [job.url, str(load.streams), f"{load.duration_s:g}", str(job.out)]
    return [sys.executable, str(HERE / "sdk_client.py"), *arguments]


def _floor(job: Job) -> list[str]:
    load = job.load
    return [str(BUILD / "floor"), str(urlsplit(job.url).port), str(load.streams), f"{load.duration_s:g}", str(job.out)]


def build_floor() -> None:
    """Compile the reader in C. Raises UsageFault with the compiler's words."""
    built("floor")


def _records(job: Job) -> list[Stream]:
    return read_streams(job.out)


FLOOR = Client("C reader", "benchmarks/floor.c: epoll, recv, clock_gettime", _floor, streams=_records)
TOKENSWARM = Client("tokenswarm", "locustfiles/openai_compatible.py, journal on", _tokenswarm, streams=_journal)
USER_STAMPS = Client("own, user stamps", "the same without the kernel's receive stamps", _user_stamps, streams=_journal)
NAIVE = Client(
    "naive Locust",
    "benchmarks/naive_user.py: FastHttpUser, json.loads per line",
    _naive,
    variables=lambda job: {"TOKENSWARM_BENCH_OUT": str(job.out)},
    streams=_records,
)
SDK = Client("openai SDK", "benchmarks/sdk_client.py: AsyncOpenAI on asyncio and httpx", _sdk, streams=_records)
OWN = (FLOOR, TOKENSWARM, USER_STAMPS, NAIVE, SDK)
