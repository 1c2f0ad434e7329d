"""The list of runs: what it holds, when it is read again, and that nothing outside the folder is in it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from analysis.histories.history_index import NAME
from benchmarks.synthetic_history import Planned, write_runs
from dashboard import runs as module
from dashboard.runs import Runs, started_of
from harness.errors import UsageFault


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    for _ in write_runs(folder, Planned("chat", 4, targets=2), 1):
        pass
    return folder


def test_the_latest_run_comes_first_and_runs_that_are_not_over_are_there(root: Path) -> None:
    waiting = root / "chat" / "20260101T000000Z-ffff"
    waiting.mkdir()
    (waiting / "plan.yaml").write_text("")
    listed = Runs(root).listed()
    assert [each.name for each in listed][:2] == ["chat/20260101T000000Z-ffff", "chat/20250101T030000Z-0003"]
    assert listed[0].verdict == "" and "no summary.json" in listed[0].reason
    assert listed[1].targets == ("target-0", "target-1") and listed[1].plan == "chat"
    latest = Runs(root).latest()
    assert latest is not None and latest.name == "chat/20250101T030000Z-0003"
    assert (root / NAME).exists()


def test_a_new_run_is_seen_and_a_look_is_believed_for_a_while(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(root)
    before = runs.listed()
    for _ in write_runs(root, Planned("other", 1), 2):
        pass
    assert runs.listed() is before
    monkeypatch.setattr(module, "FRESH_S", 0.0)
    assert {each.plan for each in runs.listed()} == {"chat", "other"}
    same = runs.listed()
    assert runs.listed() is same, "nothing has changed, so nothing is made anew"


def test_a_folder_that_cannot_be_written_is_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / NAME).mkdir()  # so that there can be no index
    monkeypatch.setattr(module, "FRESH_S", 0.0)
    runs = Runs(root)
    first = runs.listed()
    for path in root.glob("chat/*/summary.json"):
        stamp = path.stat()
        path.write_bytes(b" " * stamp.st_size)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert runs.listed() == first


def test_what_leads_out_of_the_folder_is_not_in_it(root: Path, tmp_path: Path) -> None:
    for _ in write_runs(tmp_path / "elsewhere", Planned("secret", 1), 3):
        pass
    (root / "secret").symlink_to(tmp_path / "elsewhere" / "secret")
    (root / "chat" / "inside").symlink_to(next((root / "chat").iterdir()))
    runs = Runs(root)
    assert "secret" not in {each.plan for each in runs.listed()}
    assert not [each for each in runs.trends().series if each.plan == "secret"]
    for name in (
        "secret/20250101T000000Z-0000",
        "..",
        "../elsewhere/secret/20250101T000000Z-0000",
        "",
        "chat",
        "a\0b",
        "a" * 5000,
    ):
        with pytest.raises(UsageFault):
            runs.summary(name)
    assert runs.folder("chat/inside").root.is_relative_to(root)


def test_a_summary_is_read_again_when_it_has_changed(root: Path) -> None:
    runs = Runs(root)
    name = runs.listed()[0].name
    first = runs.summary(name)
    assert runs.summary(name) is first
    path = root / name / "summary.json"
    path.write_bytes(path.read_bytes().replace(b'"valid"', b'"suspect"', 1) + b" ")
    assert runs.summary(name).validity.verdict == "suspect"


def test_an_empty_folder_has_no_runs_and_a_missing_one_says_so(tmp_path: Path) -> None:
    assert Runs(tmp_path).listed() == () and Runs(tmp_path).latest() is None
    with pytest.raises(UsageFault, match="not there"):
        Runs(tmp_path / "gone").listed()


def test_the_name_of_a_run_tells_when_it_began() -> None:
    assert time.gmtime(started_of("chat/20260301T090000Z-a1b2") or 0.0)[:4] == (2026, 3, 1, 9)
    assert started_of("chat/mine") is None
