"""Foreign words in pages: what a provider says, or a plan names, is text in every page and never markup."""

from __future__ import annotations

from pathlib import Path

import msgspec
from click.testing import CliRunner
from made_samples import made_sample

from analysis.report import write_report
from analysis.summarise import summarise
from harness.cli import tokenswarm
from harness.errors import ErrorKind
from harness.exchange import describe
from harness.plan_file import dump_plan, plan_of
from harness.rundir import RunDir
from harness.sample import Header, Outcome, encode

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>=cmd|'/c calc'!A1"
PLAN = {
    "name": "p",
    "repeats": 1,
    "warmup_s": 0,
    "targets": [{"name": "t", "dialect": "openai-chat", "base_url": "http://127.0.0.1:9/v1", "model": HOSTILE}],
    "workload": {},
    "stages": [{"concurrency": 1, "duration_s": 4}],
}


def hostile_run(folder: Path, stamp: str) -> RunDir:
    run_dir = RunDir(folder / "runs" / "p" / stamp)
    run_dir.journals.mkdir(parents=True)
    run_dir.plan.write_text(dump_plan(plan_of(PLAN, "plan")))
    header = Header(
        schema=3, run=HOSTILE, worker="r1-w0", repeat=1, share=(0, 1), wall_ns=10**18, mono_ns=1, pid=1, host=HOSTILE
    )
    good = made_sample(
        run=HOSTILE,
        model=HOSTILE,
        workload="default",
        prompt_id=HOSTILE,
        end_ns=0,
        finish_reason=HOSTILE,
        fingerprint=HOSTILE,
        request_id=HOSTILE,
        status=200,
    )
    lines = [encode(header)]
    for seq in range(40):
        at_ns = seq * 100_000_000
        changes = {"seq": seq, "start_ns": at_ns, "headers_ns": at_ns + 5, "end_ns": at_ns + 9_000_000}
        failed = (
            {"outcome": Outcome.FAILED, "error": ErrorKind.MALFORMED, "error_detail": HOSTILE} if seq % 4 == 0 else {}
        )
        lines.append(encode(msgspec.structs.replace(good, **changes, **failed)))
    run_dir.journal("r1-w0").write_bytes(b"".join(lines))
    return run_dir


def test_no_page_holds_markup_of_a_provider(tmp_path: Path) -> None:
    first, second = hostile_run(tmp_path, "20260101T000000Z-ab12"), hostile_run(tmp_path, "20260102T000000Z-ab12")
    write_report([summarise(first), summarise(second)], tmp_path / "report.html")
    root = str(tmp_path / "runs")
    invoke = CliRunner().invoke
    invoke(tokenswarm, ["trend", root, "--html", str(tmp_path / "history.html")])
    invoke(
        tokenswarm, ["recommend", str(first.root), "--use-case", "chatbot", "--html", str(tmp_path / "decision.html")]
    )
    pages = list(tmp_path.glob("*.html"))
    assert {"report.html", "history.html"} <= {page.name for page in pages}
    for page in pages:
        text = page.read_text()
        assert "<script>alert(1)" not in text, page.name
        assert "<img src=x" not in text, page.name


def test_no_cell_of_locusts_csv_holds_words_of_a_provider() -> None:
    """So none can be a formula to a spreadsheet: the detail of an error stays in the samples."""
    for kind in ErrorKind:
        words = {"error_detail": HOSTILE, "finish_reason": HOSTILE, "request_id": HOSTILE, "model": HOSTILE}
        failed = made_sample(outcome=Outcome.FAILED, error=kind, status=500, **words)
        assert str(describe(failed)["exception"]) == f"{kind} (HTTP 500)"
