"""Sinks against real receivers on loopback, good and bad, and over a `kill -9`."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hook_receiver import LONG_S, Receiver, receiving

from harness.alerting.alert_log import append_events, read_events
from harness.alerting.sinks import Delivery, read_sinks
from harness.alerting.webhook import Notice, notice_of, post, signature
from harness.records.alert_record import AlertConfig, AlertEvent, CommandSink, WebhookSink, episode_id, utc_text
from harness.rules.alert_file import read_alerts
from harness.rundir import RunDir

T0 = 1_795_000_000.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def _event(number: int, state: Any = "firing", **more: Any) -> AlertEvent:
    since_s = T0 + number
    fields: dict[str, Any] = {
        "id": episode_id("slow", "acme", "chat", since_s),
        "rule": "slow",
        "severity": "warning",
        "target": "acme",
        "workload": "chat",
        "state": state,
        "at_wall_s": since_s,
        "at_utc": utc_text(since_s),
        "since_utc": utc_text(since_s),
        "since_wall_s": since_s,
        "value": 2.0,
        "threshold": 1.0,
        "summary": "<!channel> it is & stays slow",
        "fired": True,
    }
    return AlertEvent(**{**fields, **more})


def _config(*sinks: dict[str, Any]) -> AlertConfig:
    return read_alerts({"sinks": list(sinks)})


def _hook(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {"kind": "webhook", "url": receiver.url, "backoff_s": 0.02, "max_backoff_s": 0.05, **more}


def _until(happened: Callable[[], object]) -> None:
    until_s = time.monotonic() + LONG_S
    while not happened():
        assert time.monotonic() < until_s, "it did not happen"
        time.sleep(0.01)


def test_the_signature_is_what_the_page_says(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "s3cret")
    sink = WebhookSink(url=receiver.url, secret_env="HOOK_SECRET")
    assert post(sink, notice_of(_event(1), "plan/run")).ok
    ((headers, body, _),) = receiver.got
    timestamp = headers["X-Tokenswarm-Timestamp"]
    wanted = hmac.new(b"s3cret", timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Tokenswarm-Signature"] == f"v1={wanted}" == signature("s3cret", timestamp, body)
    assert abs(int(timestamp) - time.time()) < LONG_S
    document = json.loads(body)
    assert document["key"] == headers["Idempotency-Key"] == "slow/acme/chat/20261118T110641.000Z:firing"
    assert document["run"] == "plan/run" and document["event"]["value"] == 2.0


def test_slack_gets_a_message_in_which_names_are_text(receiver: Receiver) -> None:
    assert post(WebhookSink(url=receiver.url, format="slack"), notice_of(_event(1), "plan/run")).ok
    document = json.loads(receiver.got[0][1])
    assert document["text"] == "[warning] slow is firing: &lt;!channel&gt; it is &amp; stays slow"
    assert [field["value"] for field in document["attachments"][0]["fields"]][:2] == ["acme", "chat"]


def test_redirects_are_not_followed_and_refusals_not_repeated(receiver: Receiver) -> None:
    receiver.script = [307, 404, 503]
    receiver.headers = {"Location": f"{receiver.url}/elsewhere", "Retry-After": "7"}
    sink = WebhookSink(url=receiver.url)
    sent = [post(sink, notice_of(_event(1), "r")) for _ in range(3)]
    assert [(each.ok, each.again, each.wait_s) for each in sent] == [
        (False, False, None),
        (False, False, 7),
        (False, True, 7),
    ]
    assert {path for _, _, path in receiver.got} == {"/hook"}


@pytest.mark.parametrize("does", ["hang", "drip", "close"])
def test_no_receiver_holds_a_request_up(receiver: Receiver, does: str) -> None:
    receiver.script = [does]
    begun_s = time.monotonic()
    sent = post(WebhookSink(url=receiver.url, timeout_s=0.5), notice_of(_event(1), "r"))
    assert not sent.ok and sent.again and time.monotonic() - begun_s < LONG_S / 2


def test_a_port_where_nobody_listens_and_variables_that_are_not_set_are_told_without_the_url() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound but not listening: nobody else can have it
        url = f"http://127.0.0.1:{held.getsockname()[1]}/T0K3N"
        said = post(WebhookSink(url=url, timeout_s=5), notice_of(_event(1), "r"))
    assert said.again and "ConnectError" in said.said and "T0K3N" not in said.said
    for sink in (WebhookSink(url_env="NOT_SET_ANYWHERE"), WebhookSink(url=url, secret_env="NOT_SET_ANYWHERE")):
        assert "NOT_SET_ANYWHERE is not set" in post(sink, notice_of(_event(1), "r")).said


def test_a_variable_that_is_not_set_is_said_before_the_first_alert(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sink = {"kind": "webhook", "url_env": "NOT_SET_ANYWHERE", "secret_env": "NOR_THIS"}
    Delivery(_config(sink), RunDir(tmp_path)).close(LONG_S)
    assert capfd.readouterr().err == "alerts: sink webhook: the environment variable NOT_SET_ANYWHERE is not set\n"


def test_failures_are_tried_again_in_order_and_each_event_comes_once(tmp_path: Path, receiver: Receiver) -> None:
    receiver.script = [500, "close", 200, 429, 200]
    events = [_event(1), _event(1, "resolved"), _event(2, "pending", fired=False), _event(3, silenced=True), _event(4)]
    with Delivery(_config(_hook(receiver)), RunDir(tmp_path)) as delivery:
        delivery.deliver(events)
        assert delivery.close(LONG_S)
    assert receiver.keys() == [events[0].key] * 3 + [events[1].key] * 2 + [events[4].key]
    state = read_sinks(RunDir(tmp_path))["webhook"]
    assert (state.delivered, state.lost, state.failing_since_wall_s) == (3, 0, None)
    assert state.cursor == (tmp_path / "alerts.jsonl").stat().st_size
    assert read_events(tmp_path / "alerts.jsonl") == events


def test_a_bad_sink_delays_neither_the_caller_nor_the_others_and_is_told_of(
    tmp_path: Path, receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    with receiving() as bad:
        bad.script = ["hang"] * 100
        sinks = [{"kind": "log"}, _hook(bad, name="bad", timeout_s=0.3), _hook(receiver, name="good")]
        delivery = Delivery(_config(*sinks), RunDir(tmp_path))
        for number in range(20):
            delivery.deliver([_event(number)])
        assert len(read_events(tmp_path / "alerts.jsonl")) == 20, "on the disk before the call is over"
        _until(lambda: len(receiver.got) == 20)
        _until(lambda: read_sinks(RunDir(tmp_path))["bad"].failing_since_wall_s)
        values = {reading.target: reading.values["sink_failing_s"] for reading in delivery.readings(time.time() + 100)}
        assert values["good"] == values["log"] == 0.0 and values["bad"] >= 100
        _until(lambda: read_sinks(RunDir(tmp_path))["log"].delivered == 20)
        assert not delivery.close(0.5)
    said = capfd.readouterr().err
    assert said.count("alerts: sink bad: not everything is told") == 1 and "sink good" not in said
    assert said.count("alert: firing warning slow acme chat: <!channel>") == 20
    assert said.count("alerts: sink bad: no answer within 0.3 s") == 1
    assert receiver.keys() == [_event(number).key for number in range(20)]


def test_what_is_refused_or_too_old_is_given_up_and_counted(tmp_path: Path, receiver: Receiver) -> None:
    receiver.script = [400, 200, 503, 503, 503, 503]
    with Delivery(_config(_hook(receiver, give_up_after_s=0.0)), RunDir(tmp_path)) as delivery:
        delivery.deliver([_event(1), _event(2), _event(3), _event(4)])
        assert delivery.close(LONG_S)
    state = read_sinks(RunDir(tmp_path))["webhook"]
    assert (state.delivered, state.lost, state.last_error) == (1, 3, "HTTP 503")


def test_of_too_many_waiting_events_the_newest_are_kept(tmp_path: Path, receiver: Receiver) -> None:
    Delivery(_config(_hook(receiver)), RunDir(tmp_path)).close(LONG_S)
    append_events(tmp_path / "alerts.jsonl", [_event(number) for number in range(50)])
    delivery = Delivery(_config(_hook(receiver, most_waiting=5)), RunDir(tmp_path))
    assert delivery.close(LONG_S)
    assert receiver.keys() == [_event(number).key for number in range(45, 50)]
    assert read_sinks(RunDir(tmp_path))["webhook"].skipped == 45


def test_a_new_sink_hears_nothing_old_and_severity_is_a_floor(tmp_path: Path, receiver: Receiver) -> None:
    append_events(tmp_path / "alerts.jsonl", [_event(1)])
    with Delivery(_config(_hook(receiver, severity="critical")), RunDir(tmp_path)) as delivery:
        delivery.deliver([_event(2), _event(3, severity="critical")])
        assert delivery.close(LONG_S)
    assert receiver.keys() == [_event(3).key]


def test_what_could_not_be_written_is_written_at_the_end(tmp_path: Path, receiver: Receiver) -> None:
    run_dir = RunDir(tmp_path)
    delivery = Delivery(_config(_hook(receiver)), run_dir)
    run_dir.alerts.mkdir()  # as good as a disk that is full
    delivery.deliver([_event(1)])
    _until(lambda: read_sinks(run_dir)["webhook"].delivered == 1)
    run_dir.alerts.rmdir()
    assert delivery.close(LONG_S)
    assert read_events(run_dir.alerts) == [_event(1)] and len(receiver.got) == 1


def test_a_disk_that_takes_nothing_hides_no_alert(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "alerts.jsonl").mkdir()
    delivery = Delivery(_config(_hook(receiver)), RunDir(tmp_path))
    delivery.deliver([_event(1)])
    _until(lambda: receiver.got)
    (tmp_path / "alerts.jsonl").rmdir()
    delivery.deliver([_event(2)])
    assert delivery.close(LONG_S)
    assert receiver.keys() == [_event(1).key, _event(2).key]
    assert read_events(tmp_path / "alerts.jsonl") == [_event(1), _event(2)]


KILLED = """
import sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from test_sinks import _config, _event
from harness.rundir import RunDir
from harness.alerting.sinks import Delivery
sink = {"kind": "webhook", "url": sys.argv[2], "backoff_s": 0.02, "max_backoff_s": 0.05}
delivery = Delivery(_config(sink), RunDir(Path(sys.argv[1])))
print("ready", flush=True)
for line in sys.stdin:
    delivery.deliver([_event(int(line))])
    print(line, end="", flush=True)
delivery.close(60)
"""


def _process(folder: Path, receiver: Receiver) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", KILLED, str(folder), receiver.url, str(Path(__file__).parent)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def test_after_kill_minus_9_every_event_arrives_in_order(tmp_path: Path, receiver: Receiver) -> None:
    receiver.script = [200, 200, *[500] * 1000]
    process = _process(tmp_path, receiver)
    assert process.stdin is not None and process.stdout is not None
    for number in range(10):
        process.stdin.write(f"{number}\n")
        process.stdin.flush()
        assert process.stdout.readline() == f"{number}\n"
    _until(lambda: len(receiver.got) > 4)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with (tmp_path / "alerts.jsonl").open("ab") as file:
        file.write(b'{"id": "torn')
    receiver.script = []
    again = _process(tmp_path, receiver)
    again.communicate("10\n", timeout=LONG_S)
    assert list(dict.fromkeys(receiver.keys())) == [_event(number).key for number in range(11)]
    assert receiver.keys().count(_event(0).key) == 1 and receiver.keys().count(_event(9).key) == 1
    assert len(read_events(tmp_path / "alerts.jsonl")) == 11


def _command(tmp_path: Path, code: str, **more: Any) -> CommandSink:
    script = tmp_path / "told.py"
    script.write_text(code)
    return CommandSink(argv=(sys.executable, str(script)), **more)


def _start(sink: CommandSink) -> Any:
    from harness.alerting.alert_command import start_command  # noqa: PLC0415

    return start_command(sink, Notice(kind="test", key="k", run="r", text="t" * 200_000))


def test_a_command_reads_the_event_and_its_key(tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = "d['text'][:2] + os.environ['TOKENSWARM_KEY']"
    code = f"import json, os, sys\nd = json.load(sys.stdin)\nopen({str(out)!r}, 'w').write({text})"
    assert _start(_command(tmp_path, code)).ok
    assert out.read_text() == "ttk"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; print('no\\x1b space', flush=True); sys.exit(3)", "exit code 3: no\x1b space"),
        ("import time; time.sleep(60)", "not done within 1 s"),
        ("while True: print('x' * 10000)", "not done within 1 s"),
        ("import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])", ""),
    ],
)
def test_a_bad_command_is_ended_and_told_of(tmp_path: Path, code: str, said: str) -> None:
    begun_s = time.monotonic()
    sent = _start(_command(tmp_path, code, timeout_s=1 if "1 s" in said else 30))
    assert sent.ok == (not said) and said in sent.said and len(sent.said) < 500
    assert time.monotonic() - begun_s < LONG_S / 2


def test_a_hung_command_does_not_outlive_its_monitor(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()) + '.')\ntime.sleep(600)"
    command = _command(tmp_path, code)
    delivery = Delivery(_config({"kind": "command", "argv": list(command.argv), "timeout_s": 600}), RunDir(tmp_path))
    delivery.deliver([_event(1)])
    _until(lambda: pid.exists() and pid.read_text().endswith("."))
    assert not delivery.close(0.1)
    with pytest.raises(ProcessLookupError):
        _until(lambda: os.kill(int(pid.read_text()[:-1]), 0))
    assert read_sinks(RunDir(tmp_path))["command"].cursor == 0, "it is told at the next start"


def test_a_command_that_is_not_there_is_told_of() -> None:
    assert "No such file" in _start(CommandSink(argv=("/no/such/program",))).said
