"""The command `compare`: targets of a run, runs against the first, gates; --sequential is in cli_sequential.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.table import Table

from harness.commands.cli_shown import ERR, as_text, console, given_options, plan_options, refuse
from harness.errors import UsageFault
from harness.rundir import write_out

if TYPE_CHECKING:  # scipy comes with them
    from analysis.answers.model_drift import ModelDrift
    from analysis.gating.gate_files import Told
    from analysis.gating.gate_rules import Rule
    from analysis.records.comparison_record import Comparison
    from analysis.samples import Samples
    from analysis.summary import Summary


@click.command()
@click.argument("sources", metavar="RUN_DIR...|PLAN", nargs=-1, required=True)
@click.option("--gate", "gates", multiple=True, metavar="EXPR", help="Fail (exit 3) beyond this, as ttft.p95:+10%.")
@click.option("--alpha", type=click.FloatRange(1e-9, 0.2), help="Level at which gates fail (0.001).")
@click.option("--strict", is_flag=True, help="A gate that cannot be told fails too.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write the gates as JUnit XML.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write a summary for people, as of a step of CI.")
@click.option("--sequential", is_flag=True, help="Run PLAN, and add repeats until it is decided; go on with RUN_DIR.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="With --sequential: what is to be decided.")
@click.option("--most", type=click.IntRange(2, 1000), help="With --sequential: repeats at most (30).")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), help="Folder of run directories (runs).")
@click.option("--workers", type=click.IntRange(1, 64), default=1, help="With --sequential: processes on this host (1).")
@plan_options
@click.option("--all", "everything", is_flag=True, help="Print every comparison, of however many pairs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def compare(ctx: click.Context, /, sources: tuple[str, ...], *, sequential: bool, **options: Any) -> int:
    """The targets of one run against one another, or runs against the first, metric by metric.

    Example: tokenswarm compare runs/chat/MONDAY runs/chat/TUESDAY --gate ttft.p95:+10% --gate goodput:-5%

    Repeats as needed: tokenswarm compare plan.yaml --sequential --metric ttft.p50
    """
    given = given_options(ctx)
    if sequential:
        of_finished = ("strict", "alpha", "everything")
        refuse(given, of_finished, "is of runs that are over", "first the run, then compare RUN_DIR")
        from harness.commands.cli_sequential import sequentially  # noqa: PLC0415  (what runs plans is slow to load)

        return sequentially(sources, options)
    of_plans = ("metrics", "most", "out", "workers", "settings", "targets", "prices")
    refuse(given, of_plans, "is of runs still to be made", "add --sequential and name a PLAN")
    of_gates = () if options["gates"] else ("strict", "alpha")
    refuse(given, of_gates, "there is no gate that it is about", "such as --gate ttft.p95:+10%")
    return _finished([Path(source) for source in sources], options)


def _finished(sources: list[Path], options: dict[str, Any]) -> int:
    """Of runs that are there."""
    from analysis.gating.gate_rules import forbids_better, read_gate  # noqa: PLC0415

    rules = [read_gate(text) for text in options["gates"]]
    for rule in filter(forbids_better, rules):
        note = f"note: --gate {rule.text}: forbids that it becomes better, and lets through whatever is worse"
        ERR.print(note, markup=False, highlight=False)
    from analysis.answers.model_drift import drifts  # noqa: PLC0415  (scipy comes with them: a wrong gate is told before)
    from analysis.summarise import read_sources  # noqa: PLC0415

    read = read_sources(sources)
    changes = [change for other in read[1:] for change in drifts(read[0], other) if change.verdict != "not measured"]
    told = _told(read, rules, options)
    if options["as_json"]:
        document = {"method": told.method, "comparisons": told.comparisons, "gates": told.gates, "drift": changes}
        click.echo(as_text(msgspec.to_builtins(document)))
    else:
        _show(told, changes, everything=options["everything"])
    _write_files(told, options)
    for run in told.invalid:
        ERR.print(f"invalid: {run}", markup=False, highlight=False)
    for summary, _ in read:
        if len(read) > 1 and summary.sequential is not None:
            note = (
                f"note: {summary.run}: its repeats were chosen by looking at them: between runs p is a little too small"
            )
            ERR.print(note, markup=False, highlight=False)
    return 3 if told.invalid or any(map(told.failed, told.gates)) else 0


def _told(read: list[tuple[Summary, Samples | None]], rules: list[Rule], options: dict[str, Any]) -> Told:
    from analysis.answers.grading import answers_of  # noqa: PLC0415
    from analysis.comparisons import METHOD, METHOD_SEQUENTIAL, compare_runs  # noqa: PLC0415
    from analysis.gating import gates  # noqa: PLC0415
    from analysis.gating.gate_files import Told  # noqa: PLC0415

    (first, of_first), *others = read
    alpha = options["alpha"] or gates.ALPHA
    if others:
        summaries = [summary for summary, _ in others]
        answers = [answers_of(samples) for _, samples in others]
        found = compare_runs(first, summaries, answers_of(of_first), answers)
        judged = gates.against_first(rules, first, summaries, alpha=alpha)
    else:
        found = first.comparisons
        judged = gates.within_run(rules, first.results, alpha=alpha, sequential=first.sequential is not None)
    if rules and not judged:
        raise UsageFault(f"--gate: {rules[0].text}: one target alone in {first.run}", "name a second RUN_DIR")
    invalid = [summary.run for summary, _ in read if summary.validity.verdict == "invalid"]
    told_sequentially = not others and first.sequential is not None
    method = " ".join([METHOD, *([METHOD_SEQUENTIAL] * told_sequentially), *([gates.METHOD] * bool(rules))])
    return Told(found, judged, invalid, options["strict"], method)


def _write_files(told: Told, options: dict[str, Any]) -> None:
    from analysis.gating.gate_files import junit_xml, markdown  # noqa: PLC0415

    if options["junit"] is not None:
        write_out(options["junit"], junit_xml(told))
    if options["markdown"] is not None:
        write_out(options["markdown"], markdown(told).encode())


def _show(told: Told, changes: list[ModelDrift], *, everything: bool) -> None:
    """What is shown first; then of one pair all there is, of many the rest in few lines, unless `everything` is
    wanted."""
    from analysis.gating.wording_gates import gate_sentence  # noqa: PLC0415
    from analysis.showing.wording_claims import apart, claims, rest  # noqa: PLC0415
    from analysis.showing.wording_quality import drift_line  # noqa: PLC0415
    from analysis.wording import sentences  # noqa: PLC0415

    for line in (*map(drift_line, changes), *claims(told.comparisons)):
        click.echo(line)
    pairs = _by_pair(told.comparisons)
    if everything or len(pairs) < 2:
        for rows in pairs:
            console(stderr=False).print(_table(rows))
        untold = [each for each in told.comparisons if each.verdict not in ("better", "worse")]
        lines = sentences([each for each in untold if each.verdict != "no difference" or each.headline])
    else:
        summed = rest(told.comparisons)
        lines = [*apart(told.comparisons), *([f"{summed} All of it: --all"] if summed else [])]
    for line in (*lines, *map(gate_sentence, told.gates)):
        click.echo(line)
    click.echo(f"method: {told.method}")


def _by_pair(comparisons: Sequence[Comparison]) -> list[list[Comparison]]:
    """Those that were measured, of the same load and targets together."""
    from analysis.showing.wording_claims import pair_of  # noqa: PLC0415

    found: dict[tuple[object, ...], list[Comparison]] = {}
    for each in comparisons:
        if each.a_value is not None:
            found.setdefault(pair_of(each), []).append(each)
    return list(found.values())


def _table(rows: list[Comparison]) -> Table:
    from rich.text import Text  # noqa: PLC0415

    from analysis import wording  # noqa: PLC0415

    one = rows[0]
    a, b = wording.named(one.a, one.a_run), wording.named(one.b, one.b_run)
    title = Text(f"{wording.under(one)}: A = {a}, B = {b}")
    table = Table("metric", "A / B [95 %]", "A - B [95 %]", "g", "p", "detectable", "A is", title=title)
    for each in rows:
        cells = (
            wording.metric_name(each.metric),
            wording.ratio_between(each),
            wording.change_between(each.metric, each.difference),
            wording.NOTHING if each.effect_size is None else f"{each.effect_size:.2f}",
            wording.NOTHING if each.p_adjusted is None else f"{each.p_adjusted:.2g}",
            wording.detectable(each),
            each.verdict,
        )
        table.add_row(*map(Text, cells))
    return table
