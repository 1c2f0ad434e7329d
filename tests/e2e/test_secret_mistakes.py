"""Keys where they do not belong: in a plan, among words, in a form; and keys that others repeat."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import httpx
import pytest
from child_processes import free_port
from click.testing import CliRunner
from conftest import ROOT
from leaks import Search, planted

from harness.alerting.alert_command import start_command
from harness.alerting.webhook import Notice
from harness.cli import tokenswarm
from harness.dialects.bedrock_converse import sign
from harness.dialects.wire import Unsigned
from harness.errors import UsageFault
from harness.grading.second_opinion import HelpRefused, answered, embedded
from harness.plan import Target
from harness.records.alert_record import CommandSink
from harness.simulator.config import load_config

PAGES = ("/", "/tokenswarm", "/stats/requests", "/exceptions", "/logs", "/stats/report")


@contextmanager
def locust_page(folder: Path, *more: str) -> Iterator[str]:
    """The URL of Locust's page with the users of OpenAI; what the process says goes to `said`."""
    port = free_port()
    words = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfiles" / "openai.py"), "--web-host", "127.0.0.1"]
    words += ["--web-port", str(port), *more]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OPENAI_API_KEY": "sim-key"}
    with (
        (folder / "said").open("wb") as said,
        subprocess.Popen(words, cwd=folder, env=env, stdout=said, stderr=said) as process,
    ):
        url = f"http://127.0.0.1:{port}"
        end_s = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < end_s:
            with suppress(httpx.HTTPError):
                httpx.get(url, timeout=5, trust_env=False)
                break
            time.sleep(0.05)
        try:
            yield url
        finally:
            process.send_signal(signal.SIGINT)


@pytest.mark.timeout(120)
def test_a_key_in_the_start_form_is_refused_before_anything_keeps_it(tmp_path: Path) -> None:
    keys = planted("KEY")
    key = keys["KEY"]
    search = Search(keys)
    forms = (
        {"key_env": key},
        {"key_env": f"{key[:8]}-{key[8:]}"},
        {"host": f"http://user:{key}@127.0.0.1:9/v1"},
        {"host": f"http://127.0.0.1:9/v1?key={key}"},
        {"model": f"sk-proj-1{key}"},
    )
    with locust_page(tmp_path, "-H", "http://api.example.invalid/v1") as url:
        for form in forms:
            whole = {"user_count": "1", "spawn_rate": "1", "host": "http://127.0.0.1:9/v1"} | form
            answer = httpx.post(f"{url}/swarm", data=whole, timeout=20, trust_env=False)
            assert answer.json()["success"] is False, form
            search.look("answer", answer.content)
        for page in PAGES:
            search.look(page, httpx.get(f"{url}{page}", timeout=20, trust_env=False).content)
        passed = httpx.post(f"{url}/swarm", data={"user_count": "x", "key_env": "OPENAI_API_KEY"}, trust_env=False)
        assert "Invalid user_count value" in passed.text, "another form comes to Locust"
    said = (tmp_path / "said").read_text()
    search.look("log", said)
    assert not search.found
    assert "http://api.example.invalid/v1: the key travels unencrypted to another machine" in said


def test_a_key_in_the_options_of_locust_is_refused_and_not_repeated(tmp_path: Path) -> None:
    keys = planted("KEY")
    search = Search(keys)
    env = os.environ | {"PYTHONPATH": str(ROOT), "OPENAI_API_KEY": "sim-key"}
    words = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfiles" / "openai.py"), "--headless", "-t", "1s"]
    words += ["-H", f"http://user:{keys['KEY']}@127.0.0.1:9/v1", "--csv", "out"]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, timeout=60, check=False)
    assert done.returncode == 2
    assert b"targets[0].base_url" in done.stderr
    search.look("said", done.stdout + done.stderr)
    search.files(tmp_path)
    assert not search.found


def test_signing_logs_no_token_of_a_session_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    keys = planted("ID", "SECRET", "TOKEN")
    search = Search(keys)
    with caplog.at_level(logging.DEBUG):
        url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse"
        signed = sign(Unsigned("POST", url, {"host": "h"}, b"{}", " ".join(keys.values()), "us-east-1"))
    assert keys["TOKEN"] in json.dumps(signed), "it was signed with it"
    search.look("log", caplog.text)
    assert not search.found


def test_what_a_program_prints_of_its_environment_is_cut_out(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = planted("SOME_API_KEY", "PASSWORD")
    search = Search(keys)
    monkeypatch.setenv("SOME_API_KEY", keys["SOME_API_KEY"])
    monkeypatch.setenv("SOME_PROXY", f"http://user:{keys['PASSWORD']}@127.0.0.1:9")
    code = "import os, sys; print('cannot page:', os.environ['SOME_API_KEY'], os.environ['SOME_PROXY']); sys.exit(3)"
    sink = CommandSink(argv=(sys.executable, "-c", code), timeout_s=60)
    sent = start_command(sink, Notice(kind="test", key="k", run="r", text="t"))
    assert "exit code 3: cannot page: ****" in sent.said
    search.look("said", sent.said)
    assert not search.found


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://hooks.example/x", True),
        ("https://hooks.example/x", False),
        ("http://127.0.0.1:9/x", False),
        ("", False),
    ],
)
def test_a_url_that_is_a_secret_is_told_where_it_travels_unencrypted(
    url: str, *, told: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOOK", url)
    rules = tmp_path / "rules.yaml"
    rules.write_text("sinks: [{kind: webhook, url_env: HOOK}]")
    done = CliRunner().invoke(tokenswarm, ["alerts", "--check", str(rules)])
    assert done.exit_code == 0, done.output
    assert ("the URL in HOOK travels unencrypted to another machine" in done.stderr) is told


@pytest.mark.parametrize(
    "text", ["keys: {}", "providers: [{{name: a, keys: {}}}]", "[{}]", "{}", "providers: {}", "providers: [{}]"]
)
def test_a_simulator_does_not_repeat_its_keys(text: str, tmp_path: Path) -> None:
    keys = planted("KEY")
    search = Search(keys)
    (tmp_path / "simulator.yaml").write_text(text.format(keys["KEY"]))
    with pytest.raises(UsageFault) as caught:
        load_config(tmp_path / "simulator.yaml")
    search.look("error", caught.value.message)
    assert not search.found, caught.value.message


def test_a_token_where_its_variable_belongs_is_not_repeated(tmp_path: Path) -> None:
    keys = planted("TOKEN")
    search = Search(keys)
    done = CliRunner().invoke(tokenswarm, ["dashboard", str(tmp_path), "--token-env", keys["TOKEN"]])
    assert isinstance(done.exception, UsageFault)
    search.look("error", done.exception.message)
    assert not search.found


class Repeating(BaseHTTPRequestHandler):
    """A helper that says the key again: where numbers belong, as an encoding, as an error."""

    protocol_version = "HTTP/1.1"
    way: ClassVar[str] = ""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        key = self.headers["authorization"].removeprefix("Bearer ")
        bodies: dict[str, Any] = {"numbers": {"data": [{"embedding": [key]}]}, "type": {"error": {"type": key}}}
        body = json.dumps(bodies.get(self.way, {})).encode()
        self.send_response(200)
        if self.way == "encoding":
            self.send_header("content-encoding", key)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("way", ["numbers", "encoding", "type"])
def test_a_helper_that_repeats_its_key_is_not_quoted(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = planted("KEY")
    search = Search(keys)
    monkeypatch.setattr(Repeating, "way", way)
    with ThreadingHTTPServer(("127.0.0.1", 0), Repeating) as server, httpx.Client(trust_env=False) as client:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        dialect: Any = "openai-chat" if way == "type" else "openai-embeddings"
        target = Target(name="t", dialect=dialect, base_url=url, model="m")
        ask = partial(answered, prompt="a", max_tokens=5) if way == "type" else partial(embedded, texts=["a"])
        with pytest.raises(HelpRefused) as refused:
            ask(client, target, keys["KEY"])
        server.shutdown()
    search.look("said", str(refused.value))
    assert not search.found
    assert "****" in str(refused.value), "it was said, and cut out"
