"""The command `digest` by the real program."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_page_is_written_where_it_is_wanted_and_its_path_printed(tokenswarm: Command, tmp_path: Path) -> None:
    (tmp_path / "watch" / "journal").mkdir(parents=True)
    answer = tokenswarm("digest", "watch", "--day", "2026-11-27", "--out", "pages/day.html", "--timezone", "UTC")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "pages/day.html\n"
    assert "Nothing was measured." in (tmp_path / "pages" / "day.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "no such directory"),
        ((".", "--out", "pages/day.html"), "neither a run nor a watch"),
        (("run", "--day", "yesterday"), "--day: 'yesterday': must be a date"),
        (("run", "--timezone", "Mars/Base"), "--timezone: reports.timezone: 'Mars/Base': no such time zone"),
    ],
)
def test_bad_usage_is_two_lines(tokenswarm: Command, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    (tmp_path / "run" / "journal").mkdir(parents=True)
    answer = tokenswarm("digest", *arguments)
    assert answer.returncode == 2 and said in answer.stderr and answer.stderr.count("\n") == 2
