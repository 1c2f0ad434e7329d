"""The relay without Redis: copies that grow by what arrives, URLs as they may be shown, and copies merged by hand."""

from __future__ import annotations

import fcntl
import os
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageFault
from harness.journals.collect import append, collect, field_of, opened, whole_lines
from harness.journals.merge import merge
from harness.journals.redis_client import check_redis, connect, redacted_url
from harness.relay import Shipper

JOURNAL = b"".join(b'{"type":"sample","seq":%d}\n' % number for number in range(12))
LINES = [0, *(place + 1 for place, byte in enumerate(JOURNAL) if byte == ord("\n"))]
PARTS = st.lists(st.sampled_from(LINES), min_size=2, max_size=2, unique=True).map(sorted).map(tuple)


@given(parts=st.lists(PARTS, max_size=20), torn=st.binary(max_size=9).filter(lambda tail: b"\n" not in tail))
def test_whatever_arrives_in_whatever_order_the_copy_is_a_beginning_of_the_journal(
    parts: list[tuple[int, int]], torn: bytes
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "w.jsonl"
        size = 0
        for begin, end in [*parts, *pairwise(LINES)]:
            before, (size, written) = size, append(path, begin, JOURNAL[begin:end])
            assert size == (max(before, end) if begin <= before else before)
            assert written == size - before
            assert not path.exists() or path.read_bytes()[:size] == JOURNAL[:size]
            if path.exists():
                with path.open("ab") as file:
                    file.write(torn)
        copy = path.read_bytes()
        assert copy.startswith(JOURNAL) and b"\n" not in copy[len(JOURNAL) :]


@given(text=st.text(alphabet="ab\n", max_size=40), padding=st.sampled_from([0, 70_000]))
def test_whole_lines_end_at_the_last_newline(text: str, padding: int) -> None:
    data = text.encode() + b"x" * padding
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "w.jsonl"
        path.write_bytes(data)
        with opened(path) as file:
            assert whole_lines(file) == data.rfind(b"\n") + 1


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://:s3cret@host:6379/0", "redis://***@host:6379/0"),
        ("rediss://user:s3cret@[::1]:6379", "rediss://***@[::1]:6379"),
        ("redis://user:s3@cret@host", "redis://***@host"),
        ("redis://host?password=s3cret", "redis://host?***"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?***"),
        ("redis://host?password=s3@cret", "***"),
        ("redis://:s3/cret@host", "***"),
        ("redis://:12/s3cret@host", "***"),
        ("redis://:s3?cret@host", "***"),
        ("redis://:s3#cret@host", "***"),
        ("s3cret", "***"),
        ("redis://host:6379/s3cret", "***"),
        ("redis://s3cretA9s3cretB8s3cretC7", "***"),
        ("s3cret://host", "***"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert redacted_url(url) == shown


@given(secret=st.text(alphabet="qz7/?#@:%[]&=", min_size=1, max_size=12).filter(lambda text: set(text) & set("qz7")))
def test_no_part_of_a_password_is_shown(secret: str) -> None:
    for url in (f"redis://user:{secret}@host.example", f"redis://host.example?password={secret}"):
        assert not set(redacted_url(url)) & set("qz7")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:6379",
        "http://host",
        "redis://:s3cret/x@host",
        "redis://h:port",
        "redis://h?nonsense=s3cret",
        "rediss://h?db=x",
    ],
)
def test_what_is_no_redis_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(UsageFault, match="this is no Redis URL") as raised:
        connect(url)
    assert "s3cret" not in raised.value.message + raised.value.hint


def test_a_redis_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(UsageFault, match=r"redis://\*\*\*@127.0.0.1:1: does not answer") as raised:
        check_redis("redis://:s3cret@127.0.0.1:1")
    assert "s3cret" not in raised.value.message


@pytest.mark.parametrize("worker", ["", "../w", "a/b", ".hidden", "w 0", "w\n", "w" * 200])
def test_a_worker_whose_name_cannot_be_a_file_is_refused(worker: str, tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="cannot be a file's name"):
        Shipper("redis://127.0.0.1:1", "run", worker, tmp_path / "w.jsonl")


def test_journals_are_told_apart_by_their_first_line() -> None:
    assert field_of("r1-w0", b'{"pid":1}\n') == field_of("r1-w0", b'{"pid":1}\n')
    assert field_of("r1-w0", b'{"pid":1}\n') != field_of("r1-w0", b'{"pid":2}\n')


def test_a_shipper_whose_journal_never_came_to_be_has_nothing_to_ship(tmp_path: Path) -> None:
    shipper = Shipper("redis://127.0.0.1:1", "run", "w", tmp_path / "w.jsonl")
    shipper.start()
    assert shipper.stop(1)
    assert shipper.faults == 0


def test_a_second_collector_into_one_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    file = os.open(tmp_path / "journal", os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UsageFault, match="another process collects into it"):
            collect("redis://127.0.0.1:1", "run", tmp_path, stop=lambda: True)
    finally:
        os.close(file)


def test_collecting_without_redis_ends_when_the_time_to_drain_is_over(tmp_path: Path) -> None:
    report = collect("redis://127.0.0.1:1", "run", tmp_path, stop=lambda: True, idle_s=0.01, drain_s=0.1)
    assert not report.drained
    assert report.redis_errors >= 1


def a_copy(folder: Path, health: bytes = b"", **journals: bytes) -> Path:
    (folder / "journal").mkdir(parents=True)
    for worker, data in journals.items():
        (folder / "journal" / f"{worker}.jsonl").write_bytes(data)
    if health:
        (folder / "health.jsonl").write_bytes(health)
    return folder


def test_copies_of_several_hosts_become_one(tmp_path: Path) -> None:
    one = a_copy(tmp_path / "one", b"a1\na2\ntorn", a=b"head\n1\n2\n", shared=b"head\n1\n")
    two = a_copy(tmp_path / "two", b"b1\na1\n", b=b"other\n", shared=b"head\n1\n2\n3")
    for _ in range(2):  # what is there already is taken in
        merge([one, two], tmp_path / "into")
        merged = {path.name: path.read_bytes() for path in (tmp_path / "into" / "journal").iterdir()}
        assert merged == {"a.jsonl": b"head\n1\n2\n", "b.jsonl": b"other\n", "shared.jsonl": b"head\n1\n2\n3"}
        assert (tmp_path / "into" / "health.jsonl").read_bytes() == b"a1\na2\nb1\n"


def test_journals_that_contradict_each_other_are_not_merged(tmp_path: Path) -> None:
    one = a_copy(tmp_path / "one", a=b"head\n1\n2\n", w=b"head\n1\n")
    two = a_copy(tmp_path / "two", w=b"HEAD\n1\n2\n")
    with pytest.raises(UsageFault, match="two different journals") as raised:
        merge([one, two], tmp_path / "into")
    assert str(one / "journal" / "w.jsonl") in raised.value.message
    assert str(two / "journal" / "w.jsonl") in raised.value.message
    assert not (tmp_path / "into").exists()


def test_a_folder_without_journals_is_not_merged(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="no journal in it"):
        merge([a_copy(tmp_path / "one")], tmp_path / "into")
