"""The locustfiles under stock `locust`, and Locust's CSV read back; also that of a locustfile of anybody's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from conftest import BIN, ROOT, Command

PATHS = {"openai": "/v1", "anthropic": "", "google": "", "jina": "/v1", "openai_compatible": "/v1"}
STOCK = """
import random
from locust import User, constant, task
class Shop(User):
    wait_time = constant(0.02)
    @task
    def buy(self):
        failed = RuntimeError("sold out") if random.random() < 0.2 else None
        self.environment.events.request.fire(request_type="GET", name="/buy", response_time=random.uniform(5, 50),
            response_length=10, exception=failed, context={})
"""


def _locust(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "locust"), "--headless", "--only-summary", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder, check=False)


@pytest.mark.parametrize("name", PATHS)
def test_each_locustfile_runs_alone_under_stock_locust(
    name: str, simulator: str, tokenswarm: Command, tmp_path: Path
) -> None:
    file = str(ROOT / "locustfiles" / f"{name}.py")
    arguments = ["-f", file, "-H", simulator + PATHS[name], "-u", "5", "-r", "5", "-t", "3s", "--csv", "out"]
    done = _locust(tmp_path, *arguments, "--output-tokens", "10", "--run-dir", "kept")
    assert done.returncode == 0, done.stderr
    read = tokenswarm("analyze", "out", "--json")
    assert read.returncode == 0, read.stderr
    (result,) = json.loads(read.stdout)["results"]
    journals = [path.read_bytes().count(b'"type":"sample"') for path in tmp_path.glob("kept/journal/*.jsonl")]
    truth = (tmp_path / "truth.jsonl").read_bytes().count(b"\n")
    assert result["attempted"] == sum(journals) == truth > 5
    assert result["outcomes"]["failed"] == 0


def test_processes_share_the_work_and_each_has_its_own_journal(simulator: str, tmp_path: Path) -> None:
    file = str(ROOT / "locustfiles" / "openai.py")
    arguments = ["-f", file, "-H", f"{simulator}/v1", "-u", "4", "-r", "4", "-t", "3s", "--processes", "2"]
    done = _locust(tmp_path, *arguments, "--output-tokens", "5", "--run-dir", "kept")
    assert done.returncode == 0, done.stderr
    journals = list(tmp_path.glob("kept/journal/*.jsonl"))
    assert len(journals) == 2
    prompts = [json.loads(line)["prompt_id"] for path in journals for line in path.read_text().splitlines()[1:-1]]
    assert len(set(prompts)) == len(prompts), "no two processes send the same prompt"


def test_a_wrong_option_is_told_in_one_line(tmp_path: Path) -> None:
    file = str(ROOT / "locustfiles" / "openai.py")
    done = _locust(tmp_path, "-f", file, "-H", "http://127.0.0.1:1/v1", "-t", "1s", "--input-tokens", "many")
    assert done.returncode == 2
    assert "error: options: workloads[0].input_tokens: 'many': a length is" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("history", [(), ("--csv-full-history",)])
def test_the_csv_of_a_stock_locustfile_is_read(history: tuple[str, ...], tokenswarm: Command, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(STOCK)
    _locust(tmp_path, "-f", "shop.py", "-u", "2", "-r", "2", "-t", "3s", "--csv", "shop", *history)
    read = tokenswarm("analyze", "shop", "--json")
    assert read.returncode == 0, read.stderr
    (result,) = json.loads(read.stdout)["results"]
    assert (result["target"], result["dialect"], result["ttft_s"]) == ("/buy", "GET", None)
    assert sum(result["outcomes"].values()) == result["attempted"] > 50
    assert 0.005 < result["e2e_s"]["p50"] < 0.05
    low, high = result["reliability"]["success_ratio"]["ci95"]
    assert low < result["reliability"]["success_ratio"]["value"] < high


def test_many_chunks_a_second_leave_no_traceback_in_what_locust_prints(simulator: str, tmp_path: Path) -> None:
    """Locust replaces `time.sleep` and sockets by gevent's: what the event loop itself calls must not be replaced."""
    file = str(ROOT / "locustfiles" / "openai.py")
    arguments = ["-f", file, "-H", f"{simulator}/v1", "-u", "100", "-r", "100", "-t", "5s", "--output-tokens", "200"]
    done = _locust(tmp_path, *arguments, "--run-dir", "kept")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    chunks = sum(
        len(json.loads(line).get("event_ns", ()))
        for path in tmp_path.glob("kept/journal/*.jsonl")
        for line in path.read_text().splitlines()
    )
    assert chunks >= 100 * 100, "100 streams of 50 chunks a second: enough for the loop to pause between reads"


def test_a_change_of_users_does_not_build_locusts_option_parser_once_for_each_option() -> None:
    """A worker reads no socket while it does: 0.3 s at each step of a ramp."""
    code = "from harness import user; a = user.argument_parser.default_args_dict; assert a() is a() and 'host' in a()"
    subprocess.run([str(BIN / "python"), "-c", code], check=True, timeout=60)
