"""Sets from Hugging Face: the real library against a hub that is absent, silent, or served here."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

from harness.errors import UsageFault
from harness.questions.hub import hub_rows
from harness.questions.question_files import load_questions

REPO = "someone/tiny-mmlu"
PRIVATE = "someone/private"
COMMIT = "0123456789abcdef0123456789abcdef01234567"

pytestmark = pytest.mark.timeout(300)


def parquet(letter: int) -> bytes:
    written = io.BytesIO()
    rows = [{"question": f"Which is number {letter}?", "subject": "s", "choices": list("wxyz"), "answer": letter}]
    pd.DataFrame(rows).to_parquet(written)
    return written.getvalue()


FILES = {"data/train-00000-of-00001.parquet": parquet(0), "data/test-00000-of-00001.parquet": parquet(2)}


DATA = {"type": "directory", "path": "data", "size": 0, "oid": "1" * 40}


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a set of two files needs."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.reply()

    def do_GET(self) -> None:
        self.reply()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        paths = asked.get("paths", [])
        self.send(200, json.dumps([entry(path) for path in FILES if path in paths]).encode())

    def reply(self) -> None:
        path = self.path.partition("?")[0]
        if PRIVATE in path:
            self.send(401, b"")
            return
        if path.startswith(f"/api/datasets/{REPO}/tree/"):
            folder = path.rpartition(COMMIT)[2].strip("/")
            shown = [entry(name) for name in FILES] if folder == "data" else [DATA]
            self.send(200, json.dumps(shown).encode())
        elif path.startswith(f"/api/datasets/{REPO}"):
            body = {
                "id": REPO,
                "sha": COMMIT,
                "private": False,
                "tags": [],
                "siblings": [{"rfilename": n} for n in FILES],
            }
            self.send(200, json.dumps(body).encode())
        elif path.startswith(f"/datasets/{REPO}/resolve/"):
            name = path.rpartition(f"{COMMIT}/")[2]
            self.send_file(FILES.get(name))
        else:
            self.send(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})

    def send_file(self, content: bytes | None) -> None:
        if content is None:
            self.send(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            tag = hashlib.sha256(content).hexdigest()
            self.send(200, content, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(content))})

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


def entry(name: str) -> dict[str, object]:
    content = FILES[name]
    return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.timeout(300)  # the library takes seconds to be imported, each time
def test_a_set_is_loaded_and_then_comes_from_the_cache(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub)
    (question,) = load_questions(f"hf:{REPO}")
    assert (question.stem, question.answer, question.choices) == ("Which is number 2?", "C", ("w", "x", "y", "z"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    (trained,) = load_questions(f"hf:{REPO}@train")
    assert trained.answer == "A"
    assert load_questions(f"hf:{REPO}") == (question,)


@pytest.mark.parametrize("source", ["hf:someone/nothing", f"hf:{REPO}@nowhere"])
def test_a_set_or_part_that_is_not_there_is_refused(hub: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub)
    with pytest.raises(UsageFault) as fault:
        load_questions(source)
    assert fault.value.message.startswith(f"{source}: cannot be loaded: ")
    assert "\n" not in fault.value.message
    assert "not reachable" not in fault.value.message


def test_the_password_of_an_endpoint_is_not_repeated(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library names the whole URL of what was refused."""
    monkeypatch.setenv("HF_ENDPOINT", hub.replace("//", "//user:q7Rk2ZtYb9WmX4cV@"))
    with pytest.raises(UsageFault, match=r"401 Unauthorized.*//user:\*{16}@127") as fault:
        load_questions(f"hf:{PRIVATE}")
    assert "q7Rk" not in fault.value.message


def test_a_hub_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UsageFault, match="cannot be loaded: not reachable, and not in the cache"):
        hub_rows(f"hf:{REPO}")


def test_a_loading_that_takes_too_long_is_ended(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub)
    with pytest.raises(UsageFault, match=r"not loaded within 0\.05 s"):
        hub_rows(f"hf:{REPO}", longest_s=0.05)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageFault, match="needs the library datasets") as fault:
        hub_rows(f"hf:{REPO}")
    assert "tokenswarm[quality]" in fault.value.hint
