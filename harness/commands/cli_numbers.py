"""The commands that read what was measured: analyze, report, predict."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from harness.commands.cli_shown import as_text, code_of, console
from harness.errors import UsageFault
from harness.rundir import RunDir

OUTAGE = click.option(
    "--outage",
    multiple=True,
    metavar="KEY=VALUE",
    help="When a provider counts as down: k, failure_ratio, window_s, slow_factor, baseline_s.",
)


@click.command()
@click.argument("source", metavar="RUN_DIR|LOCUST_CSV_PREFIX|RESULT_FILE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print summary.json and nothing else.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write (summary.json in RUN_DIR).")
@click.option("--prices", type=click.Path(path_type=Path), help="YAML table of prices (docs/cost.md).")
@OUTAGE
def analyze(
    source: Path,
    as_json: bool,  # noqa: FBT001
    out: Path | None,
    prices: Path | None,
    outage: tuple[str, ...],
) -> int:
    """Recompute summary.json of a run, or read the plain Locust CSV of anybody's run, or result files (one, or a folder
    of repeats) of aiperf, genai-bench, guidellm, inference-perf, llmperf and vllm bench.

    Example: tokenswarm analyze runs/demo/20260101T000000Z-ab12 --json
    """
    from analysis.rivals.files import are_at  # noqa: PLC0415
    from analysis.showing.tables import print_summary  # noqa: PLC0415
    from analysis.summarise import read_source, summarise, summary_json, write_summary  # noqa: PLC0415

    if source.is_dir() and not are_at(source):
        summary, _ = summarise(RunDir(source), outage, prices)
        if out is None:
            write_summary(RunDir(source), summary)
    else:
        summary, _ = read_source(source, outage)
    if out is not None:
        out.write_bytes(summary_json(summary))
    if as_json:
        click.echo(summary_json(summary).decode(), nl=False)
    else:
        print_summary(summary, console(stderr=False))
    return 3 if summary.validity.verdict == "invalid" else 0


@click.command()
@click.argument(
    "sources", metavar="RUN_DIR|CSV_PREFIX|RESULT_FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--out", type=click.Path(path_type=Path), help="File to write (report.html in the first RUN_DIR).")
@OUTAGE
def report(sources: tuple[Path, ...], out: Path | None, outage: tuple[str, ...]) -> None:
    """One self-contained HTML file of runs, or of plain Locust CSV; it needs no network to open. Prints its path.

    Example: tokenswarm report runs/demo/* --out demo.html
    """
    from analysis.report import write_report  # noqa: PLC0415
    from analysis.summarise import read_sources  # noqa: PLC0415

    first = sources[0]
    beside = RunDir(first).report if first.is_dir() else first.with_name(f"{first.name}_report.html")
    target = out or beside
    write_report(read_sources(sources, outage), target)
    click.echo(target)


@click.command()
@click.argument("run_dir", metavar="RUN_DIR", type=click.Path(path_type=Path))
@click.option("--target", help="Which target (needed where the run has several).")
@click.option("--workload", help="Which workload (needed where the target ran several).")
@click.option("--concurrency", type=float, help="Foretell this many requests in flight.")
@click.option("--input-tokens", type=float, help="Foretell prompts of this many tokens.")
@click.option("--stage", type=int, help="With --input-tokens: at the load of this stage (the lowest).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def predict(
    run_dir: Path,
    target: str | None,
    workload: str | None,
    concurrency: float | None,
    input_tokens: float | None,
    stage: int | None,
    as_json: bool,  # noqa: FBT001
) -> int:
    """What a target would do at a load, or with prompts of a length, that the run did not test.

    Each figure with its 90 % prediction interval and the cross-validated error. What lies far from what was tested is
    refused: measure it.

    Example: tokenswarm predict runs/throughput/20260101T000000Z-ab12 --target openai --concurrency 30
    """
    from analysis.prediction import predict_of_run  # noqa: PLC0415
    from analysis.showing.wording_capacity import prediction_lines  # noqa: PLC0415

    if (concurrency is None) == (input_tokens is None):
        raise UsageFault("predict: what to foretell is not given, or twice", "give --concurrency N or --input-tokens N")
    found, summary = predict_of_run(
        RunDir(run_dir),
        target=target,
        workload=workload,
        concurrency=concurrency,
        input_tokens=input_tokens,
        stage=stage,
    )
    if as_json:
        click.echo(as_text(msgspec.to_builtins(found)))
    else:
        for line in prediction_lines(found):
            click.echo(line)
    return code_of([summary])
