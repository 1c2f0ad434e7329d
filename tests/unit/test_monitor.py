"""The monitor by a clock that the test sets: what it sees, tells and keeps; and that a kill at any moment changes none
of it."""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hook_receiver import Receiver, receiving
from made_samples import made_sample
from msgspec import structs

from analysis.watching.slices import Slice, Spread, bucket_of
from harness.alerting.alert_log import append_action, read_events
from harness.alerting.sinks import Delivery
from harness.errors import ErrorKind
from harness.monitor import Watch
from harness.monitoring.run_ending import ending_of
from harness.plan_file import read_plan
from harness.records.alert_record import AlertAction, AlertConfig, Rule, Sla, WebhookSink, utc_text
from harness.records.monitor_record import Picture, read_picture
from harness.rundir import RunDir
from harness.sample import SCHEMA, Header, Outcome, Sample, Usage, encode, outcome_of

S = 1_000_000_000
BEGAN_S = 1_000_000_020  # of the wall clock, a whole minute
RULES = AlertConfig(
    rules=(
        Rule(name="down", metric="failures_in_row", above=2, for_s=2, resolve_after_s=3, severity="critical"),
        Rule(name="errors", metric="error_ratio@10s", above=0.2, for_s=5, resolve_after_s=5),
    ),
    sinks=(),
)


def _sample(seq: int, end_s: float, *, ok: bool = True) -> Sample:
    """Ends `end_s` after the run began; 100 ms long."""
    end_ns = round(end_s * S)
    error = None if ok else ErrorKind.OVERLOADED
    first = end_ns - 50_000_000
    return made_sample(
        seq=seq,
        start_ns=end_ns - 100_000_000,
        event_ns=(first, end_ns) if ok else (),
        end_ns=end_ns,
        outcome=outcome_of(error),
        error=error,
        usage=Usage(source="provider", input_tokens=10, output_tokens=5) if ok else None,
    )


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


class Made:
    """A run directory that grows as its clock goes on: five requests a second, all failing between two moments."""

    def __init__(self, root: Path, down_s: tuple[float, float] = (60, 90), *, probe: bool = False) -> None:
        self.run_dir = RunDir(root)
        self.run_dir.journals.mkdir(parents=True)
        self.down_s = down_s
        target = {"name": "t", "dialect": "openai-chat", "base_url": "http://h/v1", "model": "m",
                  "price": {"input": 1, "output": 2}}  # fmt: skip
        plan = {"name": "p", "targets": [target], "workload": {"name": "w"}, "budget": {"requests": 5000},
                "stages": [{"rate_rps": 5, "duration_s": 600}], "slo": {"ttft_s": 1.0}}  # fmt: skip
        self.run_dir.plan.write_text(yaml.safe_dump(plan))
        self.ended("running")
        name = "probe-000001" if probe else "r1-w0"
        self.path = self.run_dir.journal(name)
        head = Header(schema=SCHEMA, run="r", worker="r1-w0", repeat=1, share=(0, 1), wall_ns=BEGAN_S * S, mono_ns=7,
                      pid=1, host="another")  # fmt: skip
        self.path.write_bytes(encode(head))
        self.written = 0

    def ended(self, how: str, after_s: float | None = None) -> None:
        record: dict[str, Any] = {"ended": how, "started_utc": _utc(0)}
        if after_s is not None:
            record["ended_utc"] = _utc(after_s)
        self.run_dir.run_json.write_text(json.dumps(record))

    def grow(self, to_s: float) -> None:
        """Every request that has ended by then is in the journal."""
        with self.path.open("ab") as file:
            while (self.written + 1) / 5 <= to_s:
                end_s = (self.written + 1) / 5
                file.write(encode(_sample(self.written, end_s, ok=not self.down_s[0] <= end_s < self.down_s[1])))
                self.written += 1

    def watch(self, at_s: float, config: AlertConfig = RULES, **more: Any) -> Watch:
        delivery = Delivery(config, self.run_dir)
        plan = read_plan(str(self.run_dir.plan))
        return Watch(self.run_dir, plan, config, *_clocks(at_s), delivery=delivery, **more)


def _utc(after_s: float) -> str:
    return utc_text(BEGAN_S + after_s)


def _clocks(at_s: float) -> tuple[int, int]:
    return BEGAN_S * S + round(at_s * S), round(at_s * S) + 5


def _events(run_dir: RunDir) -> list[tuple[str, str, str]]:
    return [(each.rule, each.state, each.id) for each in read_events(run_dir.alerts)]


def _alive(made: Made, at_s: float) -> None:
    """The clock of the test is not that of the files: they were written now, by it."""
    for path in (made.path, made.run_dir.run_json):
        os.utime(path, (BEGAN_S + at_s, BEGAN_S + at_s))


def _go(made: Made, watch: Watch, begin_s: float, end_s: float, step_s: float = 1.0) -> Picture:
    at_s = begin_s
    while at_s <= end_s:
        made.grow(at_s)
        _alive(made, at_s)
        picture = watch.look(*_clocks(at_s))
        at_s += step_s
    return picture


def test_an_outage_fires_and_resolves_within_seconds(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r")
    watch = made.watch(0)
    _go(made, watch, 1, 63)
    told = {each.rule: each for each in read_events(made.run_dir.alerts) if each.state == "firing"}
    assert told["down"].at_wall_s - (BEGAN_S + 60) <= 5
    picture = read_picture(made.run_dir.monitor)
    assert picture is not None
    assert [each.rule for each in picture.alerts if each.state == "firing"] == ["down"]
    assert picture.cells[0].windows["10s"].error_ratio == pytest.approx(16 / 50)
    _go(made, watch, 64, 130)
    events = [each for each in read_events(made.run_dir.alerts) if each.rule == "down"]
    assert [each.state for each in events] == ["pending", "firing", "resolved"]
    assert events[2].at_wall_s - (BEGAN_S + 90) <= 5
    assert len({each.id for each in events}) == 1


def test_the_picture_says_what_was_used_and_how_far_the_run_is(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r")
    picture = _go(made, made.watch(0), 1, 100, step_s=3)
    done = 5 * 100
    failed = sum(1 for k in range(done) if 60 <= (k + 1) / 5 < 90)
    assert picture.run == "p/r"
    assert (picture.state, picture.mode, picture.plan) == ("running", "run", "p")
    assert picture.elapsed_s == pytest.approx(100, abs=0.01)
    assert picture.planned_s == pytest.approx(3 * 605)
    assert picture.spend.requests == done
    assert picture.spend.tokens == 15 * (done - failed)
    assert picture.spend.usd == pytest.approx((done - failed) * 20e-6)
    assert picture.spend.budget_requests == 5000
    windows = picture.cells[0].windows
    assert windows["10s"].attempted == 50
    assert windows["1m"].outcomes == {"failed": 150, "ok": 150}
    assert done - 50 <= windows["10m"].attempted <= done  # at most ten seconds old


def test_a_run_of_long_ago_is_gone_through_as_if_it_had_been_watched(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r")
    made.grow(120)
    made.ended("complete", 120.5)
    watch = made.watch(10**6)
    picture = watch.look(*_clocks(10**6))
    assert picture.state == "ended"
    assert picture.at_wall_s == pytest.approx(BEGAN_S + 120.5)
    assert [each[:2] for each in _events(made.run_dir) if each[0] == "down"] == [
        ("down", "pending"), ("down", "firing"), ("down", "resolved")
    ]  # fmt: skip
    again = made.watch(10**6 + 5)
    before = made.run_dir.alerts.read_bytes()
    assert again.look(*_clocks(10**6 + 5)).spend == picture.spend
    assert made.run_dir.alerts.read_bytes() == before


@pytest.mark.parametrize(
    ("watched_s", "ended", "told"),
    [
        (10**6, True, []),  # a run of long ago
        (120, False, []),  # it goes on, but its outage is over
        (80, False, ["down/t/w", "errors/t/w"]),  # and here the outage goes on
    ],
)
def test_what_was_over_before_anybody_watched_is_recorded_and_told_to_nobody(
    watched_s: float, told: list[str], tmp_path: Path, receiver: Receiver, *, ended: bool
) -> None:
    made = Made(tmp_path / "p" / "r")
    made.grow(min(watched_s, 125))
    if ended:
        made.ended("complete", 125)
    _alive(made, watched_s)
    config = AlertConfig(rules=RULES.rules, sinks=(WebhookSink(url=receiver.url),))
    delivery = Delivery(config, made.run_dir)
    watch = Watch(made.run_dir, read_plan(str(made.run_dir.plan)), config, *_clocks(watched_s), delivery=delivery)
    watch.look(*_clocks(watched_s))
    assert delivery.close(60)
    keys = receiver.keys()
    recorded = {(each.rule, each.state) for each in read_events(made.run_dir.alerts)}
    assert {("down", "firing"), ("errors", "firing")} < recorded
    assert (("down", "resolved") in recorded) == (not told)
    assert sorted(key.rsplit("/", 1)[0] for key in keys) == told
    assert all(key.endswith(":firing") for key in keys)
    if not ended:  # a restart: what it missed is told
        after = made.watch(watched_s + 60, config)
        made.down_s = (watched_s + 10, watched_s + 30)
        made.grow(watched_s + 60)
        _alive(made, watched_s + 60)
        after.look(*_clocks(watched_s + 60))
        assert after._delivery is not None and after._delivery.close(60)
        assert sum(key.endswith(":firing") for key in set(receiver.keys())) > len(keys)


def test_what_is_firing_when_a_run_ends_is_resolved_and_says_why(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r", down_s=(60, 1000))
    watch = made.watch(0)
    _go(made, watch, 1, 80)
    made.ended("complete", 80)
    picture = watch.look(*_clocks(81))
    assert picture.alerts == []
    last = read_events(made.run_dir.alerts)[-1]
    assert (last.state, last.summary) == ("resolved", "the run has ended")


def test_a_run_that_stops_writing_has_died(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r")
    made.grow(10)
    _alive(made, 10)
    assert ending_of(made.run_dir, _clocks(100)[0]).state == "running"
    assert ending_of(made.run_dir, _clocks(131)[0]).state == "died"
    assert ending_of(RunDir(tmp_path / "none"), 0).state == "waiting"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Picture]:
    """A run that was watched to its end by one monitor."""
    made = Made(tmp_path_factory.mktemp("run") / "p" / "r", down_s=(30, 50))
    return made, _go(made, made.watch(0), 1, 80)


@pytest.mark.parametrize(
    ("kills_s", "lasting_s"),
    [((32, 33, 34), 1), ((5, 31, 51, 53, 54), 0.5), ((29, 45, 58), 13), ((36, 41, 55, 56), 1)],
)
def test_killed_at_any_moment_it_loses_nothing_and_tells_nothing_twice(
    kills_s: tuple[int, ...], lasting_s: float, tmp_path: Path, undisturbed: tuple[Made, Picture]
) -> None:
    """A kill leaves what is on the disk: a new `Watch` knows nothing else. It mostly comes before the state of the last
    seconds was kept."""
    whole, expected = undisturbed
    made = Made(tmp_path / "p" / "r", down_s=(30, 50))
    at_s, watch = 1.0, made.watch(0)
    for kill_s in kills_s:
        if kill_s >= at_s:
            _go(made, watch, at_s, kill_s)
            at_s = kill_s + lasting_s
            made.grow(at_s)
            watch = made.watch(at_s)
    picture = _go(made, watch, at_s, 79.9)
    made.grow(80)
    _alive(made, 80)
    picture = watch.look(*_clocks(80))
    seen = Counter(_events(made.run_dir))
    assert max(seen.values()) == 1, "an event was told twice"
    for rule in ("down", "errors"):
        states = [state for each, state, _ in _events(made.run_dir) if each == rule]
        assert states == [state for each, state, _ in _events(whole.run_dir) if each == rule]
    assert picture.spend == expected.spend
    assert picture.cells[0].windows["1m"] == expected.cells[0].windows["1m"]


class _Interrupted:
    """Counts for metrics, until Ctrl-C comes in the middle of it."""

    def add(self, _: object) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_within_a_look_loses_nothing(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r")
    watch = made.watch(0)
    _go(made, watch, 1, 20)
    watch._counted = _Interrupted()  # type: ignore[assignment]
    made.grow(30)
    with pytest.raises(KeyboardInterrupt):
        watch.look(*_clocks(30))
    watch.close()
    _alive(made, 30)
    assert made.watch(30).look(*_clocks(30)).spend.requests == 150


def test_an_outage_while_the_monitor_was_down_is_told_when_it_is_back(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r")
    _go(made, made.watch(0), 1, 50)
    made.grow(130)
    _alive(made, 130)
    made.watch(130).look(*_clocks(130))
    events = [each for each in read_events(made.run_dir.alerts) if each.rule == "down"]
    assert [each.state for each in events] == ["pending", "firing", "resolved"]
    assert events[1].at_wall_s - (BEGAN_S + 60) <= 5  # when it was so, not when it was read


def test_a_wall_clock_set_back_between_two_starts_stops_nothing(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r", down_s=(20, 40))
    _go(made, made.watch(0), 1, 10)
    back_s = -3600.0
    watch = made.watch(11 + back_s)
    for at_s in range(11, 60):
        made.grow(at_s)
        _alive(made, at_s + back_s)
        watch.look(*_clocks(at_s + back_s))
    states = [state for rule, state, _ in _events(made.run_dir) if rule == "down"]
    assert states == ["pending", "firing", "resolved"]


def test_a_machine_that_slept_goes_on_with_what_its_processes_measure(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r", down_s=(0, 0))
    head = Header(schema=SCHEMA, run="r", worker="r1-w0", repeat=1, share=(0, 1), wall_ns=BEGAN_S * S, mono_ns=5,
                  pid=os.getpid(), host=socket.gethostname())  # fmt: skip
    made.path.write_bytes(encode(head))
    watch = made.watch(1)
    _go(made, watch, 1, 40)
    for at_s in range(41, 60):
        made.grow(at_s)
        _alive(made, at_s + 3600)
        wall_ns, mono_ns = _clocks(at_s)
        picture = watch.look(wall_ns + 3600 * S, mono_ns)
    assert picture.cells[0].windows["10s"].attempted == 50
    assert picture.cells[0].silence_s is not None and picture.cells[0].silence_s < 2


def test_silences_that_cannot_be_read_are_a_doubt_and_hold_up_nothing(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r")
    made.run_dir.alert_actions.mkdir()
    watch = made.watch(1)
    picture = _go(made, watch, 1, 70)
    assert [each.state for each in picture.alerts if each.rule == "down"] == ["firing"]
    assert [each.code for each in picture.findings] == ["unreadable"]
    made.run_dir.alert_actions.rmdir()
    silence = AlertAction(at_utc="", by="x", kind="silence", until_utc=_utc(900))
    append_action(made.run_dir.alert_actions, silence)
    picture = _go(made, watch, 71, 72)
    assert [each.silenced for each in picture.alerts] == [True, True] and not picture.findings


def test_an_old_part_that_cannot_be_deleted_ends_no_monitor(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r", down_s=(0, 0), probe=True)
    stuck = made.run_dir.journal("probe-000000")
    stuck.mkdir()
    os.utime(stuck, (BEGAN_S - 86_400, BEGAN_S - 86_400))
    watch = made.watch(1, mode="probe", keep_raw_s=60.0)
    assert _go(made, watch, 1, 130).spend.requests > 600 and stuck.is_dir()


def test_after_a_restart_what_is_promised_and_held_against_is_that_of_now(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r", down_s=(0, 0), probe=True)
    before = structs.replace(RULES, sla=Sla(ttft_s=1.0, e2e_s=9.0))
    watch = made.watch(1, before, mode="probe")
    _go(made, watch, 1, 30)
    watch.close()
    after = structs.replace(RULES, sla=Sla(ttft_s=1.0, availability=0.99))
    spread = Spread(counts={bucket_of(0.02): 100}, requests=100)
    baseline = Slice(at_s=0, length_s=60, judged=100, failed=0, throttled=0, spreads={"e2e": spread})
    watch = made.watch(31, after, mode="probe", baselines={("t", "w"): baseline})
    picture = _go(made, watch, 31, 40)
    assert {each.objective for each in picture.cells[0].sla} == {"ttft_s<=1.0", "availability"}
    watch.close()
    (kept,) = json.loads(made.run_dir.monitor_state.read_bytes())["cells"]
    valid = {name: sum(each[1] for each in of["period"][1]) for name, of in kept["sla"]["objectives"].items()}
    assert valid["ttft_s<=1.0"] > 190 > valid["availability"] > 40
    levels = kept["degradation"]["latencies"]
    assert levels["e2e"]["level"][3][0][2] and not levels["ttft"]["level"][3][0][2]
    assert kept["degradation"]["ratios"]["error_ratio"]["share"][3][0][2], "fixed by the baseline"


def test_after_a_clock_set_back_silence_begins_now(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r", down_s=(0, 0))
    watch = made.watch(1000)
    _go(made, watch, 1000, 1003)
    watch.close()
    made.ended("running")
    made.path.unlink()
    watch = made.watch(600)
    os.utime(made.run_dir.run_json, (BEGAN_S + 660, BEGAN_S + 660))
    picture = watch.look(*_clocks(660))
    assert picture.cells[0].silence_s == 60


def test_lines_that_are_no_record_are_counted_once_over_all_restarts(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r", down_s=(0, 0))
    made.grow(5)
    with made.path.open("ab") as file:
        file.write(b"x\n\n")
    for start in range(3):
        watch = made.watch(6 + start)
        picture = _go(made, watch, 6 + start, 6.5 + start)
        watch.close()
        assert [each.saw for each in picture.findings] == ["2 lines of journals are no record"]


def test_a_journal_that_is_seen_empty_after_a_restart_counts_again_from_its_beginning(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r", down_s=(0, 0))
    head = made.path.read_bytes()
    watch = made.watch(1)
    _go(made, watch, 1, 20)
    watch.close()
    watch = made.watch(21)
    assert _go(made, watch, 21, 21).spend.requests == 105
    made.path.write_bytes(b"")
    _alive(made, 22)
    watch.look(*_clocks(22))
    made.path.write_bytes(head.replace(b'"pid":1', b'"pid":2'))
    assert _go(made, watch, 30, 30).spend.requests == 105 + 45


def test_minutes_that_a_full_disk_refused_are_written_later_and_no_part_goes_before(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r", down_s=(0, 0), probe=True)
    old = made.run_dir.journal("probe-000000")
    old.write_bytes(made.path.read_bytes())
    os.utime(old, (BEGAN_S, BEGAN_S))
    watch = made.watch(0, mode="probe", keep_raw_s=1.0)
    made.run_dir.history.mkdir()  # as good as a disk that is full
    _go(made, watch, 1, 250, 5)
    assert old.exists()
    made.run_dir.history.rmdir()
    _go(made, watch, 251, 310, 5)
    assert not old.exists()
    made.run_dir.history.rename(tmp_path / "first")
    watch.close()
    lines = [json.loads(line) for line in (tmp_path / "first").read_bytes().splitlines()]
    assert [line["at_utc"] for line in lines] == [_utc(60 * n) for n in range(1, 6)]
    assert sum(line["window"]["attempted"] for line in lines) == 5 * 300


def test_probing_is_folded_into_minutes_each_once(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r", down_s=(30, 50), probe=True)
    _go(made, made.watch(0, mode="probe"), 1, 71, step_s=5)
    watch = made.watch(72, mode="probe")  # killed
    _go(made, watch, 72, 124, step_s=13)
    lines = [json.loads(line) for line in made.run_dir.history.read_text().splitlines()]
    assert [line["at_utc"] for line in lines] == [_utc(60), _utc(120)]
    assert [line["window"]["outcomes"] for line in lines] == [{"failed": 100, "ok": 200}, {"ok": 300}]
    assert sum(line["usd"] for line in lines) == pytest.approx(500 * 20e-6, rel=0.05)  # a minute is closed 2 s later
    assert all(sum(line["spreads"]["e2e"].values()) == line["window"]["outcomes"]["ok"] for line in lines)


def test_old_parts_of_a_probing_go_once_their_minutes_are_written_down(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r", probe=True)
    watch = made.watch(0, mode="probe", keep_raw_s=30.0)
    _go(made, watch, 1, 20, step_s=5)
    newer = made.run_dir.journal("probe-000002")
    newer.write_bytes(made.path.read_bytes().split(b"\n")[0] + b"\n")
    for at_s in (40, 61, 63, 90, 121, 123):
        assert made.path.exists() == (at_s <= 123)
        os.utime(newer, (BEGAN_S + at_s, BEGAN_S + at_s))
        watch.look(*_clocks(at_s))
    assert not made.path.exists()
    assert newer.exists()


def test_a_key_that_is_refused_is_told_at_three_probes_a_minute_and_no_outage(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r", down_s=(0, 0), probe=True)
    watch = made.watch(0, AlertConfig(sinks=()), mode="probe")
    told: dict[str, int] = {}
    for at_s in range(1, 300):
        if at_s % 20 == 0:
            refused = {"error": ErrorKind.AUTH, "outcome": Outcome.FAILED, "event_ns": (), "usage": None}
            with made.path.open("ab") as file:
                file.write(encode(structs.replace(_sample(at_s, at_s), **(refused if at_s < 200 else {}))))
        _alive(made, at_s)
        watch.look(*_clocks(at_s))
        told |= {each.state: at_s for each in watch.states.values() if each.state not in told}
    assert {each.rule for each in watch.states.values()} == {"refused"}
    assert 130 <= told["firing"] <= 132
    assert 203 <= told["resolved"] <= 205


def test_outcomes_of_the_harness_itself_are_no_outage(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r", down_s=(0, 0))
    watch = made.watch(0)
    with made.path.open("ab") as file:
        for k in range(50):
            own = {"outcome": Outcome.CANCELLED, "event_ns": (), "usage": None}
            sample = _sample(k, 1 + k / 10)
            file.write(encode(Sample(**({name: getattr(sample, name) for name in sample.__struct_fields__} | own))))
    _alive(made, 20)
    picture = watch.look(*_clocks(20))
    assert picture.alerts == []
    assert picture.cells[0].windows["1m"].error_ratio is None


def test_a_target_whose_turn_is_over_is_not_silent_but_a_run_may_be(tmp_path: Path) -> None:
    made = Made(tmp_path / "p" / "r", down_s=(0, 0))
    made.grow(20)
    other = made.run_dir.journal("r1-w1")
    head = Header(schema=SCHEMA, run="r", worker="r1-w1", repeat=1, share=(0, 1), wall_ns=BEGAN_S * S, mono_ns=7,
                  pid=2, host="another")  # fmt: skip
    other.write_bytes(encode(head))
    silent = AlertConfig(rules=(Rule(name="silent", metric="silence_s", above=30, for_s=0),), sinks=())
    watch = made.watch(0, silent)
    for at_s in (*range(1, 100, 3), 115):
        if 20 < at_s <= 80:
            with other.open("ab") as file:
                file.write(encode(structs.replace(_sample(at_s, at_s), target="u", worker="r1-w1")))
        _alive(made, at_s)
        watch.look(*_clocks(at_s))
        told = [(event.target, event.state) for event in read_events(made.run_dir.alerts)]
        assert told == ([("(run)", "firing")] if at_s == 115 else []), at_s
