"""Journals as they are found after a run, whole or not -> the table, and what is told of each journal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runs_on_disk import MS, S, header, sample, steady, write_journal, write_plan, write_run

from analysis.reading import journals
from analysis.samples import load_samples, write_parquet
from analysis.summarise import summarise, summary_json
from harness.errors import ErrorKind
from harness.rundir import RunDir
from harness.sample import Footer, Outcome, Sample, ServerTime, encode

ODD = [
    sample(0, S, event_ns=()),
    sample(1, 2 * S, event_ns=(2 * S + 5,), error=ErrorKind.TRUNCATED, outcome=Outcome.TRUNCATED, usage=None),
    sample(2, None, due_ns=7, end_ns=9, event_ns=(), outcome=Outcome.DROPPED, usage=None, headers_ns=None),
    sample(3, 3 * S, event_ns=(3 * S, 3 * S + 2**33, 3 * S + 2**33), server=ServerTime(source="x", queue_ns=3)),
    sample(4, 4 * S, error_detail="é\u2028\U0001f600", reused=True, retry_after_s=0.25, stamps="user"),
]


def _events(run_dir: RunDir) -> list[list[int]]:
    found = load_samples(run_dir)
    counts = found.table["events"].to_numpy()
    flat = found.event_times(np.arange(len(found.table)))
    return [list(each) for each in np.split(flat, np.cumsum(counts)[:-1])] if len(counts) else []


@given(cuts=st.integers(200, 3000))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_a_journal_is_cut_into_ranges_nothing_is_lost(
    cuts: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write_journal(write_plan(tmp_path_factory.mktemp("run")), [*ODD, *steady()[5:30]])
    size = path.stat().st_size
    batches = [journals.read_range(path, begin, begin + cuts) for begin in range(0, size, cuts)]
    assert [seq for batch in batches for seq in batch.numbers["seq"]] == list(range(30))
    assert sum(len(batch.headers) for batch in batches) == 1
    assert [batch.closed for batch in batches].count(True) == 1
    assert not any(batch.bad_lines or batch.torn for batch in batches)


def test_every_event_comes_back_to_the_nanosecond(tmp_path: Path) -> None:
    assert _events(write_run(tmp_path, [*ODD, *steady()[5:]])) == [
        list(each.event_ns) for each in [*ODD, *steady()[5:]]
    ]


def test_parquet_holds_what_the_journal_holds(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, [*ODD, *steady()[5:]])
    write_parquet(load_samples(run_dir), run_dir.samples)
    rows = pq.read_table(run_dir.samples).to_pylist()
    for row, each in zip(rows, [*ODD, *steady()[5:]], strict=True):
        plain = {name for name in Sample.__struct_fields__ if name not in ("usage", "server", "limits", "event_ns")}
        assert {name: row[name] for name in plain} == {name: getattr(each, name) for name in plain}
        assert tuple(row["event_ns"]) == each.event_ns
        assert row["output_tokens"] == (each.usage and each.usage.output_tokens)
        assert row["server_queue_ns"] == (each.server and each.server.queue_ns)
        assert row["anchor_wall_ns"] == 10**18


def test_processes_read_what_one_process_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = write_run(tmp_path, [*steady(), steady()[3]])
    alone = summary_json(summarise(run_dir)[0])
    monkeypatch.setattr(journals, "PARALLEL_FROM_BYTES", 0)
    monkeypatch.setattr(journals, "RANGE_BYTES", 9_000)
    assert summary_json(summarise(run_dir)[0]) == alone


def test_damaged_lines_are_counted_and_left_out(tmp_path: Path) -> None:
    path = write_journal(write_plan(tmp_path), steady())
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b'"seq":3', b'"seq":99999999999999999999')
    lines[8:8] = [b"\x00" * 50 + b"\n", b"\n", b'{"type":"sample"}\n', b"\xff\xfe\n"]
    path.write_bytes(b"".join(lines))
    found = load_samples(RunDir(tmp_path))
    assert len(found.table) == 109
    assert [(state.bad_lines, state.torn, state.closed) for state in found.journals] == [(5, False, True)]


@pytest.mark.parametrize("left", [1, 40, 400])
def test_a_torn_end_is_no_damage(tmp_path: Path, left: int) -> None:
    path = write_journal(write_plan(tmp_path), steady(), footer=False)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:left])
    (state,) = load_samples(RunDir(tmp_path)).journals
    assert (state.samples, state.torn, state.bad_lines, state.closed) == (109, True, 0, False)


def test_an_empty_journal_and_one_of_a_header_alone_are_runs_without_samples(tmp_path: Path) -> None:
    run_dir = write_plan(tmp_path)
    run_dir.journal("r1-w0").touch()
    run_dir.journal("r1-w1").write_bytes(encode(header("r1-w1")))
    summary, found = summarise(run_dir)
    assert (len(found.table), summary.results, summary.duration_s) == (0, (), None)
    assert [state.closed for state in found.journals] == [False, False]
    write_parquet(found, run_dir.samples)
    assert pq.read_table(run_dir.samples).num_rows == 0


def test_samples_before_any_header_have_no_clock_and_are_left_out(tmp_path: Path) -> None:
    run_dir = write_plan(tmp_path)
    first, *rest = steady()[:10]
    lines = [encode(first), encode(header()), *map(encode, rest), encode(Footer(samples=10, end_ns=1))]
    run_dir.journal("r1-w0").write_bytes(b"".join(lines))
    found = load_samples(run_dir)
    assert list(found.table["seq"]) == list(range(1, 10))
    assert found.journals[0].bad_lines == 1
    assert _events(run_dir)[0] == list(rest[0].event_ns)


def test_a_sample_met_again_in_another_journal_counts_once(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path, steady()[:10])
    copy = run_dir.journal("copied")
    copy.write_bytes(run_dir.journal("r1-w0").read_bytes())
    found = load_samples(run_dir)
    assert (len(found.table), found.duplicates) == (10, 10)
    retry = sample(3, 9 * S, attempt=2)
    write_journal(run_dir, [*steady()[:10], retry])
    found = load_samples(run_dir)
    assert (len(found.table), found.duplicates) == (11, 10)
    assert len(found.event_times(np.arange(11))) == 55


MEASURED = """
import resource, sys
from pathlib import Path
from analysis.samples import load_samples
from harness.rundir import RunDir
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = load_samples(RunDir(Path(sys.argv[1])))
print(len(found.table), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_grows_with_four_bytes_a_gap_not_with_the_text(tmp_path: Path) -> None:
    """10 000 samples of 128 events are 20 MB of text and 5 MB of gaps; as Python objects, 60 MB and more."""
    run_dir = write_plan(tmp_path)
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.gamma(4, 5 * MS, (10_000, 128)).astype(np.int64), axis=1)
    write_journal(run_dir, (sample(k, 0, event_ns=tuple(each.tolist())) for k, each in enumerate(times)))
    command = [sys.executable, "-c", MEASURED, str(tmp_path)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    rows, grown_kb = map(int, shown.stdout.split())
    assert rows == 10_000
    assert grown_kb < 60_000, f"ru_maxrss grew by {grown_kb} kB"
