"""The image and docker-compose.yml: what they name exists, and what they start runs a plan to its end."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import ProxyHandler, build_opener

import pytest
import yaml
from composed import Container, composed, instructions, json_words, read_compose
from conftest import FINISHED, ROOT
from test_hosts import csv_requests, samples_of

from harness.commands.cli_load import run
from harness.dialects import DIALECTS
from harness.plan import Aws
from harness.simulator.truth import read_truth


def shortened(text: str) -> str:
    """A mounted file; a plan is cut to one short load of each target."""
    document = yaml.safe_load(text)
    if "stages" not in document:
        return text
    stages = [{"concurrency": 12, "duration_s": 1.5}]
    return yaml.safe_dump(document | {"repeats": 1, "warmup_s": 0, "drain_s": 1, "stages": stages}, sort_keys=False)


def reached(url: str, during: Container) -> bool:
    """Whether a page answers while a container runs."""
    opener = build_opener(ProxyHandler({}))
    while during.process.poll() is None:
        try:
            with opener.open(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            time.sleep(0.1)
    return False


def scraped(prometheus: Container) -> float:
    """How many requests Prometheus saw of the run."""
    query = "sum(max_over_time(tokenswarm_requests_total[10m]))"
    url = f"http://{prometheus.address}:9090/api/v1/query?query={quote(query)}"
    with build_opener(ProxyHandler({})).open(url, timeout=10) as answer:
        found = json.load(answer)["data"]["result"]
    return float(found[0]["value"][1]) if found else 0.0


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="wants a redis-server")
@pytest.mark.timeout(110)
def test_the_services_of_the_compose_file_run_a_plan_to_its_end(tmp_path: Path) -> None:
    watched = shutil.which("prometheus") is not None and shutil.which("wget") is not None
    also = {"prometheus"} if watched else set()
    with composed(tmp_path, {"TOKENSWARM_WORKERS": "2"}, shortened, also) as containers:
        (master,), workers = containers["master"], containers["worker"]
        assert len(workers) == 2
        for container in (master, *workers):
            container.wait_healthy()
        host, port, inner = read_compose({})["services"]["master"]["ports"][0].split(":")
        assert host == "127.0.0.1", "Locust's web UI asks nobody who they are"
        assert port == inner
        assert reached(f"http://{master.address}:{inner}/", during=master), master.said()
        code = master.process.wait(80)
        assert code in FINISHED, master.said()
        assert [worker.process.wait(20) for worker in workers] == [0, 0], workers[0].said()
        truth = read_truth(containers["simulator"][0].mounts["/runs"] / "truth.jsonl")
        if watched:
            assert 0 < scraped(containers["prometheus"][0]) <= len(truth)
    (record,) = master.mounts["/runs"].glob("*/*/run.json")
    found = json.loads(record.read_text())
    assert found["ended"] == "complete", found["missing"]
    samples = samples_of(record.parent)
    assert len(samples) == len(truth) == csv_requests(record.parent) > 50
    assert {sample.target for sample in samples} == {"openai-sim", "anthropic-sim"}
    assert {sample.worker for sample in samples} == {"r1-w0", "r1-w1"}
    assert all(sample.outcome == "ok" for sample in samples)
    assert (record.parent / "report.html").exists()


def test_the_number_of_workers_that_the_master_expects_is_the_number_started() -> None:
    for variables in ({}, {"TOKENSWARM_WORKERS": "7"}):
        services = read_compose(variables)["services"]
        context = run.make_context("run", list(map(str, services["master"]["command"][1:])))
        assert context.params["expect_workers"] == services["worker"]["deploy"]["replicas"]


def test_no_service_holds_a_secret_and_workers_get_every_key_that_a_dialect_wants() -> None:
    services = read_compose({})["services"]
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            assert value is None or variable == "TOKENSWARM_REDIS" or name == "grafana", f"{name}: {variable}"
            assert not re.search("PASSWORD|SECRET|TOKEN$|KEY", variable) or value is None, f"{name}: {variable}"
            assert "@" not in (value or ""), "a password in the URL"
        assert "env_file" not in service
    passed = {name for name, value in services["worker"]["environment"].items() if value is None}
    of_aws = {Aws().key_id_env, Aws().session_token_env}
    assert passed == {dialect.key_env for dialect in DIALECTS.values()} | of_aws


def test_only_pages_are_published_to_this_host_alone_and_no_service_can_gain_a_right() -> None:
    services = read_compose({})["services"]
    assert [name for name, service in services.items() if service.get("ports")] == ["master", "prometheus", "grafana"]
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", []))
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True


def test_the_image_is_built_from_what_exists_and_runs_as_nobody_in_particular() -> None:
    found = instructions()
    assert sum(word == "FROM" for word, _ in found) == 2
    last = [word for word, _ in found][::-1].index("FROM")
    final = found[-last - 1 :]
    users = [rest for word, rest in final if word == "USER"]
    assert users
    assert all(part.isdigit() and int(part) > 0 for part in users[-1].split(":")), "runAsNonRoot wants a number"
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert json_words("ENTRYPOINT") == ["tokenswarm"]
    assert "tokenswarm" in scripts
    assert [rest for word, rest in final if word == "STOPSIGNAL"] == ["SIGINT"], "what `run` drains at"
    assert any(word == "HEALTHCHECK" for word, _ in final)
    installed = " ".join(rest for word, rest in final if word == "RUN")
    assert not re.search(r"\b(apt-get|gcc|build-essential)\b", installed), "no compiler in the final image"
    assert f"--uid {users[-1].partition(':')[0]} " in installed


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    sources = {source for sources in copied for source in sources}
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {"pyproject.toml", *(pattern.removesuffix("*") for pattern in packages)} <= sources
    for source in sources:
        assert (ROOT / source).exists(), source
    assert sources == set(kept)


def test_the_image_has_what_the_extras_of_its_commands_want() -> None:
    (listed,) = [rest for word, rest in instructions() if word == "RUN" and "requirements.txt" in rest]
    (program,) = re.findall(r'python -c "(.*?)"', listed, re.DOTALL)
    made = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    names = {re.split(r"[><=]", line)[0] for line in made.stdout.splitlines()}
    assert {"locust", "dash", "waitress", "botocore"} <= names


def test_every_file_that_is_no_module_is_installed_with_its_package() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for package in ("harness", "analysis", "dashboard", "locustfiles"):
        for path in (ROOT / package).rglob("*"):
            inside = path.relative_to(ROOT / package).as_posix()
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                assert any(fnmatch(inside, pattern) for pattern in data.get(package, [])), f"{package}: {inside}"
