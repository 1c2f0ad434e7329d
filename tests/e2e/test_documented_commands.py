"""Every command in the README and the guides is executed, in the order of its page, or it is said who executes it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from child_processes import free_port
from conftest import FINISHED, ROOT

from benchmarks.planted import run_offline

BIN = Path(sys.executable).parent
BLOCK = re.compile(r"^```(?:console|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^(?:\w+)?\$ +(.+)$", re.MULTILINE)
INSIDE = {"decisions.md", "map.md"}
ELSEWHERE = {
    r"^make ": "the Makefile's targets, of which this test is a part",
    r"^export ": "sets a key",
    r"\.venv-llama|^\$SERVER|plans/real-llama": "tests/real, with a real engine",
    r"--master|--worker ": "tests/e2e/test_hosts.py, on hosts of its own",
    r"^docker ": "tests/e2e/test_deploy.py, without Docker",
}  # what is not executed here, with who does it or why nobody
SERVES = re.compile(r"run .*--ui|^locust (?!.*--headless)|^tokenswarm (dashboard|simulate|monitor .*--metrics-port)\b")
INSTEAD = [
    (r"\.venv/bin/", ""),
    (r"(predict) RUN_DIR --target \w+", r"\1 runs/sweep --target sim"),
    (r"RUN_DIR(\.\.\.)?", "runs/old/one"),
    (r"run vllm\.yaml", "run vllm.yaml --targets my-targets.yaml"),
    (r"\bMONDAY\b", "runs/old/one"),
    (r"\bTUESDAY\b", "runs/old/two"),
    (r"runs/chat/\S+", "runs/old/one"),
    (r"https://api\.openai\.com/v1", "{url}/v1"),
    (r"\bMODEL\b", "sim"),
    (r"-t 60s", "-t 2s"),
    (r"--metrics-port \d+", "--metrics-port 0"),
    (r"(--ui\b|--processes 2)", r"\1 --web-port {port}"),
    (r"dashboard runs( --port \d+)?", "dashboard runs --port 0"),
    (r"--most \d+", "--most 3"),
    (r"(--sequential)$", r"\1 --most 3"),
    (r"suite:(latency|throughput) --set scale=0\.1 --set repeats=1", r"suite:\1 --targets my-targets.yaml"),
    (r"suite:(\w+)", r"suite:\1 --set scale=0.01 --set repeats=1"),
]  # a pattern in a page, and what stands for it here
PLAN = """
name: plan
repeats: 2
targets:
  - {name: openai, dialect: openai-chat, base_url: "sim://quick", model: sim}
  - {name: anthropic, dialect: anthropic-messages, base_url: "sim://slow", model: sim}
workload: {kind: chat, input_tokens: 20, output_tokens: 8}
stages: [{concurrency: 2, duration_s: 1.5}]
warmup_s: 0.3
slo: {e2e_s: 2}
simulator:
  providers:
    quick: {dialects: [openai-chat], ttft: 0.02, itl: 0.002, limits: {rpm: 1200}}
    slow: {dialects: [anthropic-messages], ttft: 0.06, itl: 0.002}
"""
TARGETS = '- {name: mine, dialect: openai-chat, base_url: "sim://openai-sim", model: sim}\n'


def pages() -> list[Path]:
    """The README, and every guide."""
    guides = [path for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in INSIDE]
    return [ROOT / "README.md", *guides]


def commands(page: Path) -> list[str]:
    """The commands of a page, whole, without their comments."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    found = [line for block in BLOCK.findall(text) for line in LINE.findall(block)]
    return [re.split(r"\s{2,}#", line)[0].strip() for line in found]


def executed(page: Path) -> list[str]:
    """Those of them that are executed here."""
    return [each for each in commands(page) if not any(re.search(pattern, each) for pattern in ELSEWHERE)]


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every command of a page finds what it names."""
    folder = tmp_path_factory.mktemp("stocked")
    (folder / "plan.yaml").write_text(PLAN)
    (folder / "plans").mkdir()
    (folder / "plans" / "gate.yaml").write_text(PLAN)
    (folder / "my-targets.yaml").write_text(TARGETS)
    for name in ("one", "two"):
        shutil.copytree(ROOT / "tests" / "old_runs" / "schema-3", folder / "runs" / "old" / name)
    shutil.copytree(folder / "runs" / "old" / "one", folder / "baseline")
    swept, _ = run_offline(folder / "offline", {}, loads=(1, 2, 4, 8, 16, 32), seed=1)
    shutil.move(swept.root, folder / "runs" / "sweep")
    rivals = ROOT / "tests" / "rival_files"
    shutil.copy(rivals / "guidellm" / "guidellm.json", folder)
    shutil.copytree(rivals / "aiperf", folder / "aiperf")
    for name in ("before", "after"):
        (folder / name).mkdir()
        for number in range(3):
            shutil.copy(rivals / "vllm-bench" / "detailed.json", folder / name / f"{number}.json")
    shutil.copytree(ROOT / "locustfiles", folder / "locustfiles", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def shop(stocked: Path, tmp_path: Path) -> Path:
    """A copy of it for one page, with the files that the page itself shows."""
    return Path(shutil.copytree(stocked, tmp_path / "shop"))


def shown_files(page: Path) -> Iterator[tuple[str, str]]:
    """YAML blocks that begin with the name of a file."""
    yield from re.findall(r"^```yaml\n# (\S+\.yaml)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def test_there_is_something_to_execute() -> None:
    assert len([each for page in pages() for each in executed(page)]) >= 30


def test_what_is_left_out_is_there() -> None:
    every = [each for page in pages() for each in commands(page)]
    assert all(any(re.search(pattern, each) for each in every) for pattern in ELSEWHERE)


@pytest.mark.timeout(500)
@pytest.mark.parametrize("page", [page for page in pages() if executed(page)], ids=lambda page: page.stem)
def test_the_commands_of_a_page_do_what_they_say(page: Path, shop: Path, simulator: str) -> None:
    for name, content in shown_files(page):
        shorter = re.sub(r"duration_s: \d+", "duration_s: 1.5", re.sub(r"repeats: \d+", "repeats: 2", content))
        (shop / name).write_text(shorter)
    for command in executed(page):
        words = command
        for pattern, instead in INSTEAD:
            words = re.sub(pattern, instead, words)
        words = words.replace("{url}", simulator).replace("{port}", str(free_port()))
        starter = shop / words.split()[-1] if words.startswith("tokenswarm init") else None
        if starter is not None:
            starter.unlink(missing_ok=True)
        code, said = served(words, shop, simulator) if SERVES.search(words) else run(words, shop)
        assert code in FINISHED, f"{page.name}: {command}\n{said[-3000:]}"
        if starter is not None:
            starter.write_text(PLAN)  # it is for real providers


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "OPENAI_API_KEY": "sim-key"}


def run(words: str, folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        words, shell=True, cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=400
    )
    return done.returncode, done.stdout + done.stderr


def served(words: str, folder: Path, known: str) -> tuple[int, str]:
    """Start it, wait until it serves, and end it as a person would: 0 where it ends in order. `known`: the URL of the
    simulator, which serves already."""
    log = folder / "served.log"
    with log.open("w") as out:
        process = subprocess.Popen(shlex.split(words), cwd=folder, env=environment(), stdout=out, stderr=out)
        end_s = time.monotonic() + 90
        while not (told := answers(log.read_text(), known)) and process.poll() is None and time.monotonic() < end_s:
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        code = process.wait(90)
    return (0 if told and code in (0, 1, 130) else 1), f"exit code {code}\n{log.read_text()}"


def answers(said: str, known: str) -> bool:
    """Whether something listens at an address that was said, and answers."""
    for port in re.findall(r"http://[\w.-]+:(\d+)", said):
        with suppress(httpx.HTTPError):
            if not known.endswith(f":{port}") and httpx.get(f"http://127.0.0.1:{port}/", timeout=5):
                return True
    return False
