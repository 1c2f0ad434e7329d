"""Misuse under stock Locust: what cannot be done is told in words, not as a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import psutil
from conftest import BIN, ROOT

LOCUST = str(BIN / "locust")
HOST = "http://127.0.0.1:9/v1"


def test_the_locustfile_of_plans_is_started_by_run(tmp_path: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("TOKENSWARM_")}
    command = [LOCUST, "-f", str(ROOT / "locustfiles" / "planned.py"), "--headless", "-u", "1", "-t", "1s"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=bare, check=False, timeout=100)
    assert done.returncode == 2, done.stderr
    assert "error: planned.py: no plan was handed over\nhint: `tokenswarm run PLAN`" in done.stderr
    assert "Traceback" not in done.stderr


def test_nonsense_in_the_form_of_the_web_ui_stands_under_exceptions(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    command = [LOCUST, "-f", str(ROOT / "locustfiles" / "openai.py"), "-H", HOST, "--web-host", "127.0.0.1"]
    with log.open("wb") as out:
        process = subprocess.Popen([*command, "--web-port", "0", "--model", "m"], cwd=tmp_path, stderr=out)
    try:
        url = f"http://127.0.0.1:{_until(lambda: _listening(process.pid), process)}"
        form = {"user_count": "2", "spawn_rate": "2", "host": HOST, "input_tokens": "abc"}
        urllib.request.urlopen(f"{url}/swarm", urllib.parse.urlencode(form).encode(), timeout=60).close()
        (told,) = _until(lambda: _exceptions(url), process)
        assert told["msg"].startswith("options: workloads[0].input_tokens: 'abc': a length is a whole number")
        assert "Traceback" not in log.read_text() and "hint: such as 256" in log.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _listening(pid: int) -> int | None:
    """The port that a process listens on: Locust does not say which one it was given for 0."""
    found = psutil.Process(pid).net_connections(kind="tcp")
    return next((int(each.laddr.port) for each in found if each.status == psutil.CONN_LISTEN), None)


def _exceptions(url: str) -> Any:
    with urllib.request.urlopen(f"{url}/exceptions", timeout=60) as answer:
        return json.loads(answer.read())["exceptions"]


def _until(found: Any, process: subprocess.Popen[bytes]) -> Any:
    for _ in range(600):
        if seen := found():
            return seen
        assert process.poll() is None
        time.sleep(0.1)
    raise AssertionError("waited for a minute")
