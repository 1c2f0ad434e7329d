"""Run directories of others, what a monitor left in them, and result files of other tools, as functions of their bytes.

A run directory may come from anywhere: from a colleague, from a machine that died, from somebody who wrote it by hand.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from analysis.digests.digest_hours import hours_of
from analysis.rivals.files import summarise_files
from analysis.summarise import summarise, summary_json
from fuzz.files import folder
from harness.alerting.alert_list import list_alerts
from harness.alerting.alert_log import keep_states, read_actions, read_events, recover
from harness.alerting.sinks import read_sinks
from harness.errors import UsageFault
from harness.journals.merge import merge
from harness.monitor import Watch
from harness.monitoring.folding import append_minutes, minutes_to_ns
from harness.monitoring.monitor_state import Taken, read_state
from harness.monitoring.monitor_table import shown
from harness.monitoring.probe_record import read_probing, read_progress
from harness.monitoring.run_ending import ending_of
from harness.plan_file import read_plan
from harness.records.alert_record import AlertConfig
from harness.records.monitor_record import encode_picture, read_picture
from harness.rundir import RunDir

_SEPARATOR = b"\x1e"  # between the files of one input
_NOW_NS = 1_770_000_000 * 10**9
_S = 10**9


def _fresh(name: str) -> RunDir:
    root = folder() / name
    shutil.rmtree(root, ignore_errors=True)
    (root / "journal").mkdir(parents=True)
    return RunDir(root)


def _parts(data: bytes, number: int) -> list[bytes]:
    return [*data.split(_SEPARATOR, number - 1), *([b""] * number)][:number]


def rival_results(data: bytes) -> None:
    """A result file of another tool, and the file that it may have beside it."""
    document, beside = _parts(data, 2)
    root = folder() / "rival"
    root.mkdir(exist_ok=True)
    (root / "result.json").write_bytes(document)
    for name in ("profile_export.jsonl", "r_individual_responses.json", "experiment_metadata.json"):
        (root / name).write_bytes(beside)
    for source in (root / "result.json", root):
        with suppress(UsageFault):
            summary = summarise_files(source)
            told = summary_json(summary)
            assert b"NaN" not in told


def run_folder(data: bytes) -> None:
    """A run directory of somebody else: plan, run.json, journal, health; merged with a copy of itself, and analysed."""
    plan, about, journal, health = _parts(data, 4)
    copy, run_dir = _fresh("copy"), _fresh("merged")
    for path, content in ((copy.journal("r1-w0"), journal), (copy.health, health)):
        path.write_bytes(content)
    run_dir.plan.write_bytes(plan)
    run_dir.run_json.write_bytes(about)
    merge([copy.root], run_dir.root)
    merge([copy.root], run_dir.root)
    assert run_dir.journal("r1-w0").read_bytes() == journal
    with suppress(UsageFault):
        summary_json(summarise(run_dir)[0])


def watched(data: bytes) -> None:
    """A run directory whose monitor begins, goes on and starts again: state, alerts, their states, actions, journal."""
    state, events, states, actions, journal = _parts(data, 5)
    run_dir = _fresh("watched")
    for path, content in (
        (run_dir.monitor_state, state),
        (run_dir.alerts, events),
        (run_dir.alert_states, states),
        (run_dir.alert_actions, actions),
        (run_dir.journal("r1-w0"), journal),
    ):
        path.write_bytes(content)
    for now_ns in (_NOW_NS, _NOW_NS + 20 * _S):
        watch = Watch(run_dir, None, AlertConfig(), now_ns, now_ns)
        encode_picture(watch.look(now_ns + _S, now_ns + _S))
        watch.close()


def _picture(run_dir: RunDir) -> None:
    picture = read_picture(run_dir.monitor)
    if picture is not None:
        shown([picture])
        assert msgspec.json.decode(encode_picture(picture))


def _history(run_dir: RunDir) -> None:
    hours_of(run_dir, None, 1_769_990_000.0, 1_770_000_000.0)
    minutes_to_ns(run_dir.history)
    append_minutes(run_dir.history, [])


def _events(run_dir: RunDir) -> None:
    list_alerts(read_events(run_dir.alerts), read_actions(run_dir.alerts), 1.77e9)
    keep_states(run_dir, recover(run_dir))
    assert recover(run_dir) == recover(run_dir)


def _state(run_dir: RunDir) -> None:
    kept = read_state(run_dir.monitor_state)
    if kept is not None:
        Taken().restore(kept.places, kept.at_ns)


_READERS: tuple[tuple[str, Callable[[RunDir], object]], ...] = (
    ("monitor.json", _picture),
    ("history.jsonl", _history),
    ("alerts.jsonl", _events),
    ("monitor_state.json", _state),
    ("sinks.json", read_sinks),
    ("probe.json", lambda run_dir: read_probing(run_dir.probe)),
    ("probe_state.json", lambda run_dir: read_progress(run_dir.probe_state)),
    ("run.json", lambda run_dir: ending_of(run_dir, _NOW_NS)),
    ("plan.yaml", lambda run_dir: read_plan(str(run_dir.plan))),
)


def monitor_files(data: bytes) -> None:
    """One file that a monitor or a prober left; the first byte says which."""
    name, read = _READERS[data[0] % len(_READERS)] if data else _READERS[0]
    run_dir = _fresh("left")
    path: Path = run_dir.root / name
    path.write_bytes(data[1:])
    with suppress(UsageFault):
        read(run_dir)
