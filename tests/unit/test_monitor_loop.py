"""Which folders the monitor watches, what it says of those that it leaves, and a directory that is taken away."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest

from harness import monitor_loop
from harness.errors import UsageFault
from harness.journals.tail import Clock
from harness.monitor_loop import Wanted, follow, is_run_dir, open_watch, runs_under
from harness.rundir import RunDir


def _run(root: Path) -> RunDir:
    """A run directory as it is just after its begin."""
    run_dir = RunDir(root)
    run_dir.journals.mkdir(parents=True)
    run_dir.run_json.write_text(json.dumps({"ended": "running", "started_utc": "2026-11-28T08:00:00.000Z"}))
    return run_dir


def test_folders_of_others_are_not_taken_for_run_directories(tmp_path: Path) -> None:
    plans, logs = tmp_path / "plans", tmp_path / "log"
    plans.mkdir()
    (plans / "plan.yaml").write_text("name: p\n")
    (logs / "journal" / "8e1f").mkdir(parents=True)  # as systemd's is
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    said: list[str] = []
    assert follow(tmp_path, Wanted(say=said.append), lambda _: None, once=True) == []
    assert said == [f"{tmp_path}: no run goes on there"]
    assert [path.name for path in plans.iterdir()] == ["plan.yaml"]
    assert [path.name for path in logs.iterdir()] == ["journal"]
    closed.chmod(0o700)
    (plans / "journal").mkdir()
    assert is_run_dir(plans)
    assert [run_dir.root for run_dir in runs_under(tmp_path)] == [plans]


def test_a_run_that_cannot_be_watched_is_named_and_the_others_are(tmp_path: Path) -> None:
    good, bad, taken = (_run(tmp_path / "p" / name) for name in ("good", "bad", "taken"))
    bad.plan.write_text("targets: nobody\n")
    other = open_watch(taken, Wanted(), Clock())
    said: list[str] = []
    pictures = follow(tmp_path, Wanted(say=said.append), lambda _: None, once=True)
    other.close()
    assert [picture.run for picture in pictures] == [good.name]
    assert [text.split(": ")[1] for text in said] == [str(bad.plan), str(taken.root)]
    assert "another monitor watches it" in said[1]


def test_a_watch_that_cannot_begin_leaves_no_thread_and_no_lock(tmp_path: Path) -> None:
    run_dir = _run(tmp_path / "p" / "r")
    run_dir.alert_states.mkdir()
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(IsADirectoryError):
            open_watch(run_dir, Wanted(), Clock())
    assert threading.active_count() == before
    run_dir.alert_states.rmdir()
    open_watch(run_dir, Wanted(), Clock()).close()


def test_a_directory_that_is_taken_away_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_loop, "_GONE_AFTER_S", 0.1)
    run_dir = _run(tmp_path / "p" / "r")

    def take_away(_: object) -> None:
        shutil.rmtree(run_dir.root, ignore_errors=True)

    with pytest.raises(UsageFault, match="was taken away"):
        follow(run_dir.root, Wanted(), take_away)


def test_a_run_directory_has_its_name_from_wherever_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "chat" / "20261128T080000Z-1a2b"
    root.mkdir(parents=True)
    names = set()
    for folder, path in ((tmp_path, root), (tmp_path / "chat", Path(root.name)), (root, Path())):
        monkeypatch.chdir(folder)
        names.add(RunDir(path).name)
    assert names == {f"chat/{root.name}"}
