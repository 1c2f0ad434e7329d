"""Files that are written whole, and those that somebody named."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.rundir import write_out, write_whole


def test_a_file_is_there_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for write in (write_whole, write_out):
        write(tmp_path / "x", write.__name__.encode())
        assert (tmp_path / "x").read_bytes() == write.__name__.encode()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("write", [write_whole, write_out])
def test_a_fault_names_the_file_that_was_asked_for(tmp_path: Path, write: Callable[[Path, bytes], None]) -> None:
    for path, kind in ((tmp_path / "absent" / "x", FileNotFoundError), (tmp_path, IsADirectoryError)):
        with pytest.raises(kind) as found:
            write(path, b"")
        assert found.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def test_a_link_and_a_pipe_stay_what_they_are(tmp_path: Path) -> None:
    """/dev/stdout is a link to a pipe: root must not put a file in its place."""
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(tmp_path / "there")
    write_out(link, b"new")
    assert link.is_symlink() and (tmp_path / "there").read_bytes() == b"new"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_out(pipe, b"through")
    reader.join(10)
    assert read == [b"through"] and pipe.is_fifo()
