from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageFault
from harness.simulator.truth import Truth, TruthWriter, read_truth


def _truth(name: str) -> Truth:
    return Truth(id=name, provider="p", dialect="openai-chat", path="/v1", received_ns=1, chunk_ns=[2, 3], content=[1])


def test_what_is_written_is_read_again_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "new" / "truth.jsonl"
    for name in ("a", "b"):
        writer = TruthWriter(path)
        writer.write(_truth(name))
        writer.close()
    assert read_truth(path) == [_truth("a"), _truth("b")]


def test_a_line_is_in_the_file_before_the_writer_closes(tmp_path: Path) -> None:
    writer = TruthWriter(tmp_path / "t")
    writer.write(_truth("a"))
    assert [truth.id for truth in read_truth(tmp_path / "t")] == ["a"]
    writer.close()


def test_a_torn_last_line_is_left_out_at_every_length(tmp_path: Path) -> None:
    path = tmp_path / "t"
    writer = TruthWriter(path)
    writer.write(_truth("a"))
    writer.write(_truth("b"))
    writer.close()
    whole = path.read_bytes()
    first_end = whole.index(b"\n") + 1
    for end in range(first_end, len(whole)):
        path.write_bytes(whole[:end])
        assert [truth.id for truth in read_truth(path)] == ["a"]


def test_a_broken_line_before_the_last_is_named(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b'{"half\n{}\n')
    with pytest.raises(UsageFault, match=r"t:1: "):
        read_truth(tmp_path / "t")


def test_files_that_are_not_there_are_the_users_fault(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="cannot be read"):
        read_truth(tmp_path / "none")
    with pytest.raises(UsageFault, match="cannot be written"):
        TruthWriter(tmp_path)


def test_without_a_path_nothing_is_written() -> None:
    writer = TruthWriter(None)
    writer.write(_truth("a"))
    writer.close()
