"""`compare` of runs through the real command: gates, what they exit with, and repeats as many as it takes."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
from conftest import FINISHED, Command
from made_samples import made_sample

from harness.cli import tokenswarm as command
from harness.errors import UsageFault
from harness.plan_file import plan_of
from harness.rundir import RunDir
from harness.sample import Footer, Header, Sample, encode
from harness.simulator.config import config_from
from harness.simulator.offline import play_offline

MS = 1_000_000


def _write_run(folder: Path, ttft_ms: int, output_tokens: int = 5) -> None:
    """Three repeats of a request each 100 ms for 2 s, whose first token takes `ttft_ms` and a little more each time."""
    run_dir = RunDir(folder)
    run_dir.journals.mkdir(parents=True)
    plan = {
        "name": "p", "warmup_s": 0, "stages": [{"concurrency": 1, "duration_s": 2}],
        "targets": [{"name": "t", "dialect": "openai-chat", "base_url": "http://h/v1", "model": "m"}],
        "workload": {"name": "w", "output_tokens": output_tokens},
    }  # fmt: skip
    run_dir.plan.write_text(yaml.safe_dump(plan))
    run_dir.run_json.write_text('{"ended": "complete"}')
    for repeat in (1, 2, 3):
        worker = f"r{repeat}-w0"
        header = Header(
            schema=1,
            run="r",
            worker=worker,
            repeat=repeat,
            share=(0, 1),
            wall_ns=repeat * 10**12,
            mono_ns=0,
            pid=1,
            host="h",
        )
        samples = [_sample(worker, repeat, seq, seq * 100 * MS, ttft_ms * MS + repeat * MS // 3) for seq in range(20)]
        lines = [encode(header), *map(encode, samples), encode(Footer(samples=20, end_ns=1))]
        run_dir.journal(worker).write_bytes(b"".join(lines))


def _sample(worker: str, repeat: int, seq: int, start_ns: int, ttft_ns: int) -> Sample:
    first = start_ns + ttft_ns
    return made_sample(
        repeat=repeat, worker=worker, seq=seq, start_ns=start_ns, event_ns=(first, first + MS), end_ns=first + 2 * MS
    )


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    _write_run(tmp_path / "before", 50)
    _write_run(tmp_path / "after", 60)
    _write_run(tmp_path / "longer", 50, output_tokens=6)
    return tmp_path


def _compared(*arguments: object) -> int:
    """The exit code of the command, within this process: each of another would take a second or two."""
    return int(command.main(["compare", *map(str, arguments)], standalone_mode=False) or 0)


@pytest.mark.parametrize(
    ("gate", "code", "word"),
    [
        ("ttft.p95:+10%", 3, "gate failed"),
        ("ttft.p95:+30%", 0, "gate met"),
        ("ttft.p95<0.055", 3, "gate failed"),
        ("ttft.p95<=0.0607", 0, "gate cannot tell"),
        ("tpot.p50:+1%", 3, "gate not measured"),
    ],
)
def test_a_gate_decides_the_exit_code(
    runs: Path, capsys: pytest.CaptureFixture[str], gate: str, code: int, word: str
) -> None:
    assert _compared(runs / "before", runs / "after", "--gate", gate) == code
    out, err = capsys.readouterr()
    assert err == ""
    assert word in out and "before) beats t (" in out


def test_a_gate_that_only_forbids_what_is_better_is_told(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _compared(runs / "before", runs / "after", "--gate", "ttft.p95:-1%", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["gates"]
    assert err.startswith("note: --gate ttft.p95:-1%: forbids that it becomes better")


def test_runs_of_unlike_requests_are_not_ranked(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _compared(runs / "before", runs / "longer", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert (found["verdict"], found["reason"]) == ("not comparable", "request differs: output_tokens 5 against 6")


def test_gates_are_written_for_ci(runs: Path, tokenswarm: Command) -> None:
    files = ("--junit", runs / "gates.xml", "--markdown", runs / "summary.md")
    gates = ("--gate", "ttft.p95:+10%", "--gate", "ttft.p95<=0.0607", "--gate", "success_ratio:-50pp")
    done = tokenswarm("compare", runs / "before", runs / "after", *gates, *files, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 3
    assert [gate["verdict"] for gate in told["gates"]] == ["failed", "cannot tell", "met"]
    assert "Holm" in told["method"]
    suites = ET.parse(runs / "gates.xml").getroot()
    assert {name: suites.attrib[name] for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3", "failures": "1", "errors": "0", "skipped": "1",
    }  # fmt: skip
    text = (runs / "summary.md").read_text()
    assert text.startswith("## tokenswarm: 1 of 3 gates failed") and "All comparisons" in text


def test_what_cannot_be_told_fails_only_where_that_is_wanted(runs: Path) -> None:
    asked = (runs / "before", runs / "after", "--gate", "ttft.p95<=0.0607")
    assert (_compared(*asked), _compared(*asked, "--strict")) == (0, 3)


def test_a_comparison_tells_all_there_is_of_it(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _compared(runs / "before", runs / "after", "--json") == 0
    found = {each["metric"]: each for each in json.loads(capsys.readouterr().out)["comparisons"]}
    ttft = found["ttft_s.p50"]
    assert ttft["difference"]["value"] == pytest.approx(0.01, rel=1e-3)
    assert ttft["ratio"]["ci95"][0] < 1.2 < ttft["ratio"]["ci95"][1]
    assert (ttft["verdict"], ttft["decided"], ttft["headline"], ttft["repeats"]) == ("worse", True, True, 3)
    assert ttft["effect_size"] > 5 and ttft["detectable"] > 1 and ttft["method"] == "Welch's t of log ratios"
    assert {"ttft_s.p90", "e2e_s.p95", "success_ratio"} <= found.keys()


def _two_targets(folder: Path) -> Path:
    providers = {name: {"dialects": ["openai-chat"], "ttft": 0.02, "itl": 0.002} for name in ("a", "b")}
    target = {"dialect": "openai-chat", "model": "m"}
    document = {
        "name": "seq", "warmup_s": 0, "drain_s": 2,
        "targets": [{"name": name, "base_url": f"sim://{name}"} | target for name in providers],
        "workload": {"kind": "chat", "name": "w", "input_tokens": 8, "output_tokens": 3},
        "stages": [{"concurrency": 2, "duration_s": 0.5}], "simulator": {"providers": providers},
    }  # fmt: skip
    path = folder / "two.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(scope="module")
def four_targets(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Under two loads: `slow` takes twice as long, the others are alike."""
    providers = {
        name: {"dialects": ["openai-chat"], "ttft": 0.4 if name == "slow" else 0.2, "itl": 0.01}
        for name in ("slow", "x", "y", "z")
    }
    document = {
        "name": "four", "repeats": 3, "warmup_s": 0,
        "targets": [
            {"name": name, "base_url": f"sim://{name}", "dialect": "openai-chat", "model": "m"} for name in providers
        ],
        "workload": {"kind": "chat", "name": "w", "input_tokens": 8, "output_tokens": "N(20,5)"},
        "stages": [{"concurrency": users, "duration_s": 20} for users in (2, 4)], "simulator": {"providers": providers},
    }  # fmt: skip
    run_dir = RunDir(tmp_path_factory.mktemp("four") / "four" / "run")
    plan = plan_of(document, "test")
    play_offline(plan, config_from(plan.simulator), run_dir)
    return run_dir


def test_of_many_pairs_what_is_shown_comes_first_and_the_rest_in_a_line(
    four_targets: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*options: str) -> list[str]:
        assert _compared(four_targets.root, *options) == 0
        return capsys.readouterr().out.splitlines()

    short, whole = said(), said("--all")
    told = json.loads("\n".join(said("--json")))["comparisons"]
    claimed = [each for each in told if each["verdict"] in ("better", "worse")]
    pairs = {(each["stage"], each["a"], each["b"], each["verdict"]) for each in claimed}
    assert pairs <= {(stage, "slow", name, "worse") for stage in (0, 1) for name in "xyz"}
    assert len(pairs) > 3
    assert [line.split(" beats ")[1].split()[0] for line in short[: len(pairs)]] == ["slow"] * len(pairs)
    assert short[: len(pairs)] == whole[: len(pairs)]
    (summed,) = (line for line in short if line.startswith("No difference is shown in "))
    assert int(summed.split()[5].replace(",", "")) == sum(each["verdict"] == "no difference" for each in told)
    assert summed.endswith("All of it: --all")
    assert len(short) < len(pairs) + 6
    assert len(whole) > 12 * 15, "a table for each pair"


def test_repeats_are_added_and_a_run_that_was_killed_is_gone_on_with(tmp_path: Path, tokenswarm: Command) -> None:
    plan = _two_targets(tmp_path)
    begun = tokenswarm("compare", plan, "--sequential", "--metric", "ttft.p50", "--most", 2, "--out", tmp_path / "runs")
    assert begun.returncode in FINISHED, begun.stderr
    run_dir = RunDir(Path(begun.stdout.splitlines()[-1]))
    assert "Cannot tell a and b in TTFT p50" in begun.stdout and "after 2 repeats" in begun.stdout
    assert json.loads(run_dir.sequential.read_bytes())["ended"] == "most"

    cut = run_dir.journal("r2-w0")
    cut.write_bytes(b"".join(cut.read_bytes().splitlines(keepends=True)[:-1]))  # as a kill leaves it
    again = tokenswarm("compare", run_dir.root, "--sequential", "--most", 2, "--json")
    assert again.returncode in FINISHED, again.stderr
    told = json.loads(again.stdout)
    assert told["sequential"]["repeats"] == 2
    assert [path.name for path in run_dir.unfinished.iterdir()] == ["r2-w0.1.jsonl"]
    (found,) = told["comparisons"]
    assert (found["repeats"], found["method"]) == (2, "sequential paired t of log ratios")
    summary = json.loads(run_dir.summary.read_bytes())
    assert summary["sequential"]["metrics"] == ["ttft_s.p50"]
    assert [each["repeat"] for each in summary["results"][0]["repeat_values"]] == [1, 2]
    assert json.loads(run_dir.run_json.read_bytes())["ended"] == "complete"


@pytest.mark.parametrize(
    "arguments",
    [
        ("before", "--sequential"),
        ("before", "after", "--sequential"),
        ("before", "./after", "after"),
        ("before", "--most", "4"),
        ("before", "--set", "repeats=3"),
        ("nowhere.yaml", "--sequential"),
        ("suite:demo", "--sequential", "--metric", "speed"),
        ("suite:demo", "--sequential", "--gate", "ttft.p95:+1%"),
        ("suite:demo", "--sequential", "--all"),
        ("suite:demo", "--sequential", "--strict"),
    ],
)
def test_what_makes_no_sense_is_a_fault_of_usage(
    runs: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(runs)
    with pytest.raises(UsageFault) as found:
        _compared(*arguments)
    assert found.value.hint


@pytest.mark.parametrize("arguments", [("before", "--gate", "ttft:+1%"), ("before", "--gate", "ttft.p95:+1%")])
def test_a_gate_that_makes_no_sense_is_bad_usage(runs: Path, tokenswarm: Command, arguments: tuple[str, ...]) -> None:
    assert runs.is_dir()
    done = tokenswarm("compare", *arguments)
    assert done.returncode == 2
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
