"""What is shipped: a wheel made from the sdist, installed where nothing of the repository is, does the main job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

BIN = Path(sys.executable).parent
TARGETS = "- {name: openai-sim, dialect: openai-chat, base_url: sim://openai-sim, model: sim}\n"


def run(*words: str | Path, cwd: Path, codes: tuple[int, ...] = (0,)) -> str:
    bare = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode in codes, (words, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from a copy of what git has, so that nothing else slips in, and by way of the sdist."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    files = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    run(BIN / "uv", "build", "--out-dir", out, source, cwd=out)
    (found,) = out.glob("*.whl")
    return found


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    tracked = run("git", "ls-files", "harness", "analysis", "dashboard", "locustfiles", cwd=ROOT).splitlines()
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    assert not {name for name in tracked if (ROOT / name).is_file()} - inside
    assert not [name for name in inside if name.startswith(("tests", "benchmarks"))]


def test_installed_alone_it_runs_a_suite_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    python, here = tmp_path / "clean" / "bin" / "python", tmp_path / "here"
    here.mkdir()
    run(BIN / "uv", "venv", "--quiet", "--python", sys.executable, tmp_path / "clean", cwd=tmp_path)
    run(BIN / "uv", "pip", "install", "--quiet", "--python", python, wheel, cwd=tmp_path)
    (tmp_path / "targets.yaml").write_text(TARGETS)
    shorter = ("scale=0.01", "repeats=1", "workloads.complex_query.output_tokens=20")
    options = [word for setting in shorter for word in ("--set", setting)]
    command: list[str | Path] = ["run", "suite:latency", "--targets", tmp_path / "targets.yaml", *options]
    printed = run(python.with_name("tokenswarm"), *command, cwd=here, codes=(0, 3))  # 3: the machine was busy
    run_dir = here / printed.splitlines()[-1]
    assert json.loads((run_dir / "summary.json").read_bytes())["ended"] == "complete"
    assert (run_dir / "report.html").stat().st_size > 1_000_000
    assert [path.name for path in here.iterdir()] == ["runs"]
