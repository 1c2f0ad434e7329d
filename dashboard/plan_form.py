"""The form of a custom plan: labelled inputs, named by the keys of the plan that they fill."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from dashboard.pieces import card
from harness.records.dialect_names import KIND_OF_DIALECT

ROW = "row"
_DIALECTS, _LOADS = "new-dialects", "new-loads"


def field(
    part: str, row: int, key: str, text: str, value: Any = None, *, hint: str = "", choices: str | None = None
) -> Any:
    """A labelled input of one key. Everything is text: the plan's own rules say what is wrong with it."""
    place = {"page": "new", "part": part, ROW: row, "key": key}
    more = {} if choices is None else {"list": choices}
    entry = dcc.Input(id=place, type="text", value=value, placeholder=hint, autoComplete="off", **more)
    return html.Label([html.Span(text, className="label"), entry], className="field")


def form() -> Any:
    """The whole form, filled with a plan on the simulator that costs nothing."""
    button = html.Button(
        "Check this plan",
        id={"page": "new", "check": "form", "n": 0},
        className="button main",
        type="button",
        n_clicks=0,
    )
    return html.Div(
        [
            html.Datalist([html.Option(value=name) for name in KIND_OF_DIALECT], id=_DIALECTS),
            html.Datalist([html.Option(value=name) for name in ("concurrency", "rate_rps")], id=_LOADS),
            card(
                "Plan",
                html.Div(
                    [
                        field("plan", 0, "name", "Name", "my-plan"),
                        field("plan", 0, "repeats", "Repeats", "3"),
                        field("plan", 0, "warmup_s", "Warm-up, s", "2"),
                        field("plan", 0, "seed", "Seed", "7"),
                    ],
                    className="fields",
                ),
            ),
            _many("Targets", "target", [blank_target(0)], _TARGETS_NOTE),
            card(
                "Workload",
                html.Div(
                    [
                        field("workload", 0, "name", "Name", "chat"),
                        field("workload", 0, "input_tokens", "Input tokens", "N(480,120)", hint="256 or N(480,120)"),
                        field("workload", 0, "output_tokens", "Output tokens, at most", "64"),
                        field("workload", 0, "prefix_share", "Shared prefix, 0 to 1", "0"),
                    ],
                    className="fields",
                ),
                note="Its kind (chat, embeddings, rerank, batch) follows from the dialect of the first target.",
            ),
            _many("Stages", "stage", [blank_stage(0)], _STAGES_NOTE),
            card("Limits of a good request (SLO), and budget", html.Div(_limits(), className="fields")),
            button,
        ],
        className="stack",
    )


_TARGETS_NOTE = (
    "sim://NAME is a provider of the simulator. A key is never typed here: name the environment variable that holds it "
    "where the dashboard runs."
)


_STAGES_NOTE = (
    "One after another, for every target in turn. Load by concurrency (so many users, each waits for its reply) or by "
    "rate_rps (so many requests a second, whether or not replies have come)."
)


def _limits() -> list[Any]:
    return [
        field("slo", 0, "ttft_s", "TTFT, s", "1"),
        field("slo", 0, "tpot_s", "TPOT, s"),
        field("slo", 0, "e2e_s", "E2E, s", "10"),
        field("slo", 0, "availability", "Availability, 0 to 1", "0.99"),
        field("budget", 0, "usd", "Budget, USD"),
        field("budget", 0, "requests", "Budget, requests"),
    ]


def _many(title: str, part: str, rows: list[Any], note: str) -> Any:
    add = html.Button(f"Add a {part}", id=f"new-add-{part}", className="quiet", type="button", n_clicks=0)
    return card(title, html.Div(rows, id=f"new-{part}s", className="stack"), add, note=note)


def blank_target(row: int) -> Any:
    """The inputs of one target."""
    fields = [
        field("target", row, "name", "Name", "openai-sim" if row == 0 else f"target-{row + 1}"),
        field("target", row, "dialect", "Dialect", "openai-chat", choices=_DIALECTS),
        field("target", row, "base_url", "Base URL", "sim://openai-sim"),
        field("target", row, "model", "Model", "sim-1"),
        field("target", row, "key_env", "Variable with the key", hint="OPENAI_API_KEY"),
    ]
    return _row("target", row, fields)


def blank_stage(row: int) -> Any:
    """The inputs of one stage."""
    fields = [
        field("stage", row, "load", "Load by", "concurrency", choices=_LOADS),
        field("stage", row, "value", "How many", "4"),
        field("stage", row, "duration_s", "Duration, s", "20"),
    ]
    return _row("stage", row, fields)


def _row(part: str, row: int, fields: list[Any]) -> Any:
    remove = html.Button(
        "Remove",
        id={"page": "new", "remove": part, ROW: row},
        className="quiet",
        type="button",
        n_clicks=0,
        **{"aria-label": f"Remove {part} {row + 1}"},
    )
    return html.Div([html.Div(fields, className="fields"), remove], className="entry")
