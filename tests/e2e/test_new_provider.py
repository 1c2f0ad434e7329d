"""docs/new-provider.md, followed word for word in a copy of the project: the dialect it makes reads its bytes, and is
run by Locust against a server that sends them."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from conftest import ROOT

from harness.sample import Sample, decode

PAGE = (ROOT / "docs" / "new-provider.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"^(?P<what>New file|In) `(?P<path>\S+)`:\n\n```\w+\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)  # a reader sees the names of files too, here and on the site
ANEW = re.compile(r"^\.venv/bin/((?:python docs|tokenswarm check).*)$", re.MULTILINE)


def edited(text: str, steps: list[str]) -> str:
    """`text` with the lines that begin with `+` below those before them, which stand in it in this order."""
    lines, place = text.splitlines(), 0
    for step in steps:
        sign, line = step[0], step[1:]
        place = place + 1 if sign == "+" else lines.index(line, place)
        if sign == "+":
            lines.insert(place, line)
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the page was followed."""
    copy = tmp_path_factory.mktemp("new-provider")
    for name in ("harness", "analysis", "dashboard", "docs", "locustfiles", "tests/wire"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for block in BLOCK.finditer(PAGE):
        path = copy / block["path"]
        path.parent.mkdir(exist_ok=True)
        if block["what"] == "New file":
            assert not path.exists(), "the page makes a new file"
            path.write_text(block["text"], encoding="utf-8")
        else:
            path.write_text(edited(path.read_text(encoding="utf-8"), block["text"].splitlines()), encoding="utf-8")
    return copy


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", *words]


def environment(project: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    return kept | {"PYTHONPATH": str(project), "ACME_API_KEY": "acme-key"}


def run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    said = {"cwd": project, "env": environment(project), "capture_output": True, "text": True, "timeout": 110}
    return subprocess.run(command(*words), check=False, **said)  # type: ignore[call-overload, no-any-return]


def test_the_page_makes_what_it_promises() -> None:
    made = [(block["what"], block["path"]) for block in BLOCK.finditer(PAGE)]
    assert len(made) == 12 and ("New file", "harness/dialects/acme.py") in made


def test_the_tests_of_bytes_find_the_new_folder(project: Path) -> None:
    done = run(project, "pytest", "-rp", "-p", "no:cacheprovider", "tests/wire", "-k", "acme")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    for name in ("cut_anywhere", "stops_early", "cut_short", "error_body", "any_bytes", "bytes_that_are_hard"):
        assert name in done.stdout, done.stdout


@contextmanager
def acme(project: Path) -> Iterator[tuple[str, list[bytes]]]:
    """A server that sends the recorded stream for every request; the requests it had."""
    body = (project / "tests" / "wire" / "acme" / "plain.sse").read_bytes()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(body)
    requests: list[bytes] = []

    def serve(peer: socket.socket) -> None:
        with peer, suppress(OSError):
            while data := peer.recv(65536):
                requests.append(data)
                peer.sendall(head + body)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def test_locust_runs_it(project: Path, tmp_path: Path) -> None:
    words = ("-f", "locustfiles/acme.py", "--headless", "-u", "1", "--output-tokens", "7", "--run-dir", str(tmp_path))
    with acme(project) as (url, requests), (tmp_path / "log").open("w+") as log:
        begun = command("locust", *words, "-H", url)
        with subprocess.Popen(begun, cwd=project, env=environment(project), stdout=log, stderr=log) as locust:
            for _ in range(900):
                if len(requests) >= 3 or locust.poll() is not None:
                    break
                time.sleep(0.1)
            locust.terminate()
            assert locust.wait(60) == 0, (tmp_path / "log").read_text()
    assert requests and requests[0].startswith(b"POST /generate HTTP/1.1")
    assert b"authorization: Bearer acme-key" in requests[0] and b'"limit":7' in requests[0]
    lines = [line for path in (tmp_path / "journal").glob("*.jsonl") for line in path.read_bytes().splitlines()]
    samples = [record for line in lines if isinstance(record := decode(line), Sample)]
    assert samples and {(each.outcome, each.dialect) for each in samples} == {("ok", "acme")}
    assert {each.usage and (each.usage.input_tokens, each.usage.output_tokens) for each in samples} == {(12, 2)}
    assert all(len(each.event_ns) == 2 for each in samples)


def test_a_plan_may_name_it(project: Path) -> None:
    plan = (
        "name: p\nworkload: {kind: chat}\nstages: [{concurrency: 1, duration_s: 1}]\n"
        "targets: [{name: acme, dialect: acme, base_url: http://127.0.0.1:9, model: acme-1, key_env: ACME_API_KEY}]\n"
    )
    (project / "plan.yaml").write_text(plan)
    done = run(project, "harness", "check", "plan.yaml")
    assert done.returncode == 0 and "acme" in done.stdout, done.stderr[-2000:]


def test_what_is_made_from_the_code_is_made_anew(project: Path) -> None:
    words = ANEW.findall(PAGE)
    assert len(words) == 2
    for each in words:
        command = f"{Path(sys.executable).parent}/{each}"
        subprocess.run(command, shell=True, cwd=project, env=environment(project), check=True, timeout=110)
    published = json.loads((project / "docs" / "plan.schema.json").read_text())
    assert "acme" in published["$defs"]["Target"]["properties"]["dialect"]["enum"]
    assert "`acme`" in (project / "docs" / "reference" / "plan.md").read_text()
