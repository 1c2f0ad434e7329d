"""docker-compose.yml without Docker: every service's own command as a process of this machine.

A service has a loopback address of its own, on which it listens wherever its container would listen; host names and
mounted paths in words, variables and mounted files become that address and a folder of the test. Everything else, be it
ports, options, health checks or who waits for whom, is used as it stands in the file.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import BIN, ROOT

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_HEALTHY_S = 30.0
_GRACE_S = 20.0


def read_compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """docker-compose.yml with its variables put in."""

    def put_in(found: re.Match[str]) -> str:
        return variables.get(found[1], found[2] or "")

    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(_VARIABLE.sub(put_in, text))
    return document


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile, one (instruction, arguments) after another."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(word.upper(), rest) for word, rest in lines]


def json_words(instruction: str) -> list[str]:
    """The words of the last such instruction in its exec form."""
    *_, last = [rest for word, rest in instructions() if word == instruction]
    words: list[str] = yaml.safe_load(last)
    return words


@dataclass(frozen=True)
class Container:
    """One container of a service, as a running process. `mounts`: container path -> path on this machine."""

    service: str
    address: str
    mounts: dict[str, Path]
    health: list[str]
    variables: dict[str, str]
    process: subprocess.Popen[bytes]
    log: Path

    def healthy(self) -> bool:
        """What its health check says now."""
        done = subprocess.run(
            [word.replace("/proc/1/", f"/proc/{self.process.pid}/") for word in self.health],
            env=self.variables,
            capture_output=True,
            timeout=10,
            check=False,
        )
        return done.returncode == 0

    def wait_healthy(self) -> None:
        """Until it is healthy. Fails the test when it ends before, or takes too long."""
        end_s = time.monotonic() + _HEALTHY_S
        while not self.healthy():
            if self.process.poll() is not None or time.monotonic() > end_s:
                pytest.fail(f"{self.service} did not become healthy: {self.said()}")
            time.sleep(0.1)

    def said(self) -> str:
        """What it printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")


class _Stage:
    """Where containers are started: their addresses, and the folders that stand for mounts and volumes."""

    def __init__(
        self, document: dict[str, Any], folder: Path, edit: Callable[[str], str], also: Collection[str]
    ) -> None:
        services: dict[str, Any] = document["services"]
        self.services = {name: each for name, each in services.items() if "profiles" not in each or name in also}
        self._volumes: dict[str, Any] = document["volumes"]
        self._folder = folder
        self._edit = edit
        net = os.getpid() % 60_000 + 256
        self._addresses = {name: f"127.{net >> 8}.{net & 255}.{k}" for k, name in enumerate(self.services, 2)}

    def start(self, service: str, number: int) -> Container:
        """One container of a service."""
        known = self.services[service]
        home = self._folder / f"{service}-{number}"
        home.mkdir()
        mounts = dict(self._mounted(known.get("volumes", []), home))
        words = [*(json_words("ENTRYPOINT") if "build" in known else known.get("entrypoint", [])), *known["command"]]
        code = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        variables = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(home), **code, **self._environment(known)}
        mapped = [self._mapped(word, service, mounts) for word in words]
        health = [self._mapped(word, service, mounts) for word in known["healthcheck"]["test"]]
        assert health.pop(0) == "CMD", "a health check must not need a shell"
        log = home / "log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                _found(mapped),
                env=variables,
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        return Container(service, self._addresses[service], mounts, _found(health), variables, process, log)

    def _environment(self, known: dict[str, Any]) -> dict[str, str]:
        named: dict[str, str | None] = known.get("environment", {})
        given = {name: os.environ.get(name) if value is None else value for name, value in named.items()}
        return {name: self._hosts(str(value)) for name, value in given.items() if value is not None}

    def _mounted(self, volumes: list[str], home: Path) -> Iterator[tuple[str, Path]]:
        for volume in volumes:
            source, target, *_ = volume.split(":") if ":" in volume else ("", volume)
            if source.startswith("."):
                path = home / Path(target).name
                path.write_text(self._hosts(self._edit((ROOT / source).read_text(encoding="utf-8"))), encoding="utf-8")
            else:
                assert not source or source in self._volumes, f"{source}: no such volume"
                path = self._folder / (f"volume-{source}" if source else f"{home.name}-own")
                path.mkdir(exist_ok=True)
            yield target, path

    def _mapped(self, word: str, service: str, mounts: dict[str, Path]) -> str:
        """A word as it has to be here."""
        word = re.sub(r"\b(0\.0\.0\.0|127\.0\.0\.1)\b", self._addresses[service], word)
        for target, path in mounts.items():
            word = re.sub(rf"^{re.escape(target)}(?=/|$)", str(path), word)
        return self._addresses.get(word, self._hosts(word))

    def _hosts(self, text: str) -> str:
        names = "|".join(self._addresses)
        pattern = rf'(?:(?<=//)|(?<="))({names})(?=:\d|/|$)'
        return re.sub(pattern, lambda found: self._addresses[found[1]], text, flags=re.MULTILINE)


def _found(words: list[str]) -> list[str]:
    """The command with the path of its program."""
    name = Path(words[0]).name  # where an image has it does not matter here
    program = sys.executable if name == "python" else shutil.which(name, path=f"{BIN}:{os.environ['PATH']}")
    assert program is not None, f"{words[0]}: there is no such program"
    return [program, *words[1:]]


@contextmanager
def composed(
    folder: Path, variables: Mapping[str, str], edit: Callable[[str], str], also: Collection[str] = ()
) -> Iterator[dict[str, list[Container]]]:
    """All containers, by service; each started when those that it depends on are as it wants them. `edit` changes the
    text of a mounted file; `also` names services of profiles. What still runs at the end of the block is ended."""
    stage = _Stage(read_compose(variables), folder, edit, also)
    running: dict[str, list[Container]] = {}
    waiting = dict(stage.services)
    try:
        while waiting:
            service, known = next(
                item for item in waiting.items() if item[1].get("depends_on", {}).keys() <= set(running)
            )
            for name, wanted in waiting.pop(service).get("depends_on", {}).items():
                if wanted["condition"] == "service_healthy":
                    running[name][0].wait_healthy()
            count = int(known.get("deploy", {}).get("replicas", 1))
            running[service] = []
            for number in range(count):
                running[service].append(stage.start(service, number))
        yield running
    finally:
        _end([container for containers in running.values() for container in containers])


def _end(containers: list[Container]) -> None:
    alive = [container.process for container in containers if container.process.poll() is None]
    for process in alive:
        process.send_signal(signal.SIGINT)
    for process in alive:
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
