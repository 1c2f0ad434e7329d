"""Following journals: every sample once, however they are written, cut, copied or replaced meanwhile."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_samples import made_sample

from harness.journals.tail import Clock, Tail, anchor_of
from harness.sample import SCHEMA, Footer, Header, Sample, encode

WALL_NS, MONO_NS = 2_000 * 10**9, 500 * 10**9


def _header(worker: str = "r1-w0", pid: int = 1, wall_ns: int = 10**18) -> Header:
    return Header(
        schema=SCHEMA, run="r", worker=worker, repeat=1, share=(0, 1), wall_ns=wall_ns, mono_ns=7, pid=pid, host="h"
    )


def _sample(seq: int, worker: str = "r1-w0", text: str | None = None) -> Sample:
    return made_sample(worker=worker, seq=seq, start_ns=seq, end_ns=seq + 1, text=text)


def _read_all(tail: Tail, most_bytes: int = 4_000_000) -> list[tuple[str, int]]:
    """Every sample that is new, by journal."""
    found: list[tuple[str, int]] = []
    behind = True
    while behind:
        behind = False
        for read in tail.read(WALL_NS, MONO_NS, most_bytes):
            found += [(read.name, each.seq) for each in read.samples]
            behind = behind or read.behind
    return found


def _lines(samples: Iterable[Sample], head: Header | None = None) -> bytes:
    return encode(head or _header()) + b"".join(map(encode, samples))


@settings(max_examples=60)
@given(st.data())
def test_a_journal_that_grows_by_any_pieces_is_read_once(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 12))
    texts = data.draw(st.lists(st.text(max_size=50), min_size=count, max_size=count))
    whole = _lines(_sample(k, text=text) for k, text in enumerate(texts))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    most = data.draw(st.sampled_from([1, 50, 300, 4_000_000]))
    restarts = data.draw(st.booleans())
    with TemporaryDirectory() as folder:
        path, tail, found = Path(folder) / "r1-w0.jsonl", Tail(Path(folder)), []
        for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            with path.open("ab") as file:
                file.write(whole[begin:end])
            found += _read_all(tail, most)
            if restarts:
                tail = Tail(Path(folder), dict(tail.places))
        assert found == [("r1-w0.jsonl", k) for k in range(count)]
        assert tail.bad_lines == 0


def test_new_files_are_found_and_other_files_are_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    tail = Tail(folder)
    assert _read_all(tail) == []  # there is no folder yet
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(_lines([_sample(1)]))
    (folder / "a.jsonl.tmp").write_bytes(_lines([_sample(9)]))
    assert _read_all(tail) == [("a.jsonl", 1)]
    (folder / "b.jsonl").write_bytes(_lines([_sample(2)], _header("b")))
    assert _read_all(tail) == [("b.jsonl", 2)]


def test_a_folder_that_is_gone_for_a_while_is_gone_on_with(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(_lines([_sample(1)]))
    tail = Tail(folder)
    assert len(_read_all(tail)) == 1
    folder.rename(tmp_path / "away")
    assert _read_all(tail) == []
    shutil.copytree(tmp_path / "away", folder)  # another inode, the same journal
    with (folder / "a.jsonl").open("ab") as file:
        file.write(encode(_sample(2)))
    assert _read_all(tail) == [("a.jsonl", 2)]
    assert tail.replaced == 0


def test_another_journal_in_its_place_is_read_from_its_beginning(tmp_path: Path) -> None:
    path, tail = tmp_path / "a.jsonl", Tail(tmp_path)
    path.write_bytes(_lines([_sample(1), _sample(2)]))
    assert len(_read_all(tail)) == 2
    other = tmp_path / "other"
    other.write_bytes(_lines([_sample(7)], _header(wall_ns=2 * 10**18)))
    other.replace(path)
    assert _read_all(tail) == [("a.jsonl", 7)]
    assert tail.replaced == 1


def test_a_journal_cut_short_goes_on_with_what_is_appended(tmp_path: Path) -> None:
    path, tail = tmp_path / "a.jsonl", Tail(tmp_path)
    path.write_bytes(_lines([_sample(1), _sample(2)]))
    assert len(_read_all(tail)) == 2
    with path.open("r+b") as file:
        file.truncate(len(_lines([_sample(1)])))
    assert _read_all(tail) == []
    with path.open("ab") as file:
        file.write(encode(_sample(3)))
    assert _read_all(tail) == [("a.jsonl", 3)]


def test_a_journal_that_was_emptied_goes_on_under_the_header_it_had(tmp_path: Path) -> None:
    path, tail = tmp_path / "a.jsonl", Tail(tmp_path)
    path.write_bytes(_lines([_sample(1), _sample(2)]))
    assert len(_read_all(tail)) == 2
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(encode(_sample(3)) + encode(_sample(4)))
    assert _read_all(tail) == [("a.jsonl", 3), ("a.jsonl", 4)]
    assert (tail.shortened, tail.bad_lines) == (1, 0)


def test_what_is_no_record_is_counted_and_passed_over(tmp_path: Path) -> None:
    path, tail = tmp_path / "a.jsonl", Tail(tmp_path)
    torn = encode(_sample(2))[:-9] + b"\n\x00\xff\n[]\n"
    path.write_bytes(_lines([_sample(1)]) + torn + encode(_sample(3)) + encode(Footer(samples=2, end_ns=1)))
    assert [seq for _, seq in _read_all(tail)] == [1, 3]
    assert tail.bad_lines == 3
    assert tail.places["a.jsonl"].closed


@pytest.mark.parametrize("before", [b"\n", b"x\n", b"x" * 5000 + b"\n"])
def test_a_journal_that_does_not_begin_with_its_header_is_read_once(tmp_path: Path, before: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(before + _lines([_sample(1)]) + b"torn")
    tail = Tail(tmp_path)
    assert _read_all(tail) == [("a.jsonl", 1)]
    assert _read_all(tail) == [] and tail.shortened == 0


def test_a_journal_that_begins_with_an_endless_line_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.journals.tail.LONGEST_LINE", 10_000)
    (tmp_path / "a.jsonl").write_bytes(b"x" * 25_000 + b"\n" + _lines([_sample(1)]))
    tail = Tail(tmp_path)
    assert _read_all(tail, 3_000) == [("a.jsonl", 1)]
    assert _read_all(tail, 3_000) == [] and tail.shortened == 0


def test_a_sample_before_any_header_has_no_time_and_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(encode(_sample(1)) + _lines([_sample(2)]))
    tail = Tail(tmp_path)
    assert [seq for _, seq in _read_all(tail)] == [2]
    assert tail.bad_lines == 1


def test_a_file_that_cannot_be_read_is_left_for_later(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").mkdir()
    (tmp_path / "b.jsonl").write_bytes(_lines([_sample(1)]))
    tail = Tail(tmp_path)
    assert _read_all(tail) == [("b.jsonl", 1)]
    assert list(tail.faults) == ["a.jsonl"]
    (tmp_path / "a.jsonl").rmdir()
    (tmp_path / "a.jsonl").write_bytes(_lines([_sample(5)]))
    assert _read_all(tail) == [("a.jsonl", 5)]
    assert not tail.faults


def test_a_process_of_this_host_is_placed_by_the_monotonic_clock() -> None:
    """So a wall clock that was set an hour back since does not move its samples."""
    now_wall, now_mono = time.time_ns(), time.monotonic_ns()
    here = Header(
        schema=SCHEMA, run="r", worker="w", repeat=1, share=(0, 1), wall_ns=now_wall + 3600 * 10**9,
        mono_ns=now_mono - 5 * 10**9, pid=os.getpid(), host=socket.gethostname(),
    )  # fmt: skip
    assert anchor_of(here, now_wall, now_mono) == now_wall - 5 * 10**9
    elsewhere = Header(
        schema=SCHEMA, run="r", worker="w", repeat=1, share=(0, 1), wall_ns=now_wall, mono_ns=now_mono, pid=1,
        host="another", clock_offset_ns=3 * 10**9,
    )  # fmt: skip
    assert anchor_of(elsewhere, now_wall, now_mono) == now_wall - 3 * 10**9


def test_a_clock_is_not_moved_by_steps_of_the_wall_clock() -> None:
    clock = Clock(wall_ns=time.time_ns() - 3600 * 10**9)  # as after a step of an hour
    first = clock.now_ns()
    assert clock.now_ns() >= first
    assert -3601 < clock.ahead_s() < -3599
