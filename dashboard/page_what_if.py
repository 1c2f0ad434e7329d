"""What if: a recommendation from measured runs, asked again while weights, limits, prices and volume are changed."""

from __future__ import annotations

from typing import Any, TypedDict

from dash import ALL, Input, Output, State, dcc, html
from werkzeug.exceptions import BadRequest

from analysis.deciding.burdens import CATEGORIES
from analysis.deciding.recommendation_record import Reason, Recommendation
from analysis.deciding.use_cases import UseCase, shipped
from analysis.deciding.wording_decision import apart_text, load_text, notes_of, share_text
from analysis.summary import Summary
from analysis.wording import NOTHING
from dashboard import picker
from dashboard.board import COLOUR
from dashboard.pieces import card, chips, empty, heading, table
from dashboard.site import Page, Query, Site
from dashboard.typed_callbacks import taken
from dashboard.what_if import Supposed, answer, billed, loads_of, usual_weights
from harness.errors import UsageFault

_MOST_LIMITS = 20


def layout(site: Site, query: Query) -> Any:
    """The page: of the run that is asked for, else of the latest with targets to compare."""
    head = heading("What if", says="Which target to take, and what would change the answer. Nothing is measured anew.")
    name = picker.chosen(site, query, lambda each: len(each.targets) > 1)
    if name is None:
        return [head, picker.no_runs(site)]
    summary = site.runs.summary(name)
    use = query["use"] if query.get("use") in shipped() else _fitting(summary)
    use_case = shipped()[use]
    loads = _loads(summary, use_case)
    if not loads:
        kinds = " or ".join(use_case.kinds)
        reason = f"{name} has no load of kind {kinds} under which two targets can be compared."
        return [head, picker.picker(site, name), _uses(site, name, use), empty("Nothing to choose from", reason)]
    load = query["load"] if query.get("load") in loads else next(reversed(loads))
    entries = [(text, site.href("what-if", run=name, use=use, load=key), key == load) for key, text in loads.items()]
    asked: Asked = {"run": name, "use": use, "load": load}
    says, answers, shares = _answered(site, asked, _nothing_supposed(use, load))
    return [
        head,
        picker.picker(site, name),
        _uses(site, name, use),
        chips(entries, "Loads") if len(entries) > 1 else None,
        dcc.Store(id="what-if-asked", data=asked),
        html.Div(
            [
                html.Div(says, id="what-if-says", className="says", **{"aria-live": "polite"}),
                html.Div(_controls(summary, use_case, use, shares), className="controls stack"),
                html.Div(answers, id="what-if-answer", className="answers stack"),
            ],
            className="what-if",
        ),
    ]


def _fitting(summary: Summary) -> str:
    """The first use case that the run has a load for."""
    return next((name for name, each in shipped().items() if _loads(summary, each)), next(iter(shipped())))


def _loads(summary: Summary, use_case: UseCase) -> dict[str, str]:
    """The loads that fit a use case, and how they are named."""
    return {
        f"{stage}:{workload}": load_text(workload, label)
        for workload, stage, label, kind in loads_of([summary])
        if not use_case.kinds or kind in use_case.kinds
    }


def _uses(site: Site, name: str, use: str) -> Any:
    entries = [(each.replace("_", " "), site.href("what-if", run=name, use=each), each == use) for each in shipped()]
    return chips(entries, "Use cases")


def _controls(summary: Summary, use_case: UseCase, use: str, shares: list[str]) -> list[Any]:
    weights = usual_weights(use)
    sliders = [_slider(name, weights[name], share) for name, share in zip(CATEGORIES, shares, strict=True)]
    prices = [_field(name, _amount({"page": "what-if", "price": name}, 1)) for name in billed([summary])]
    limits = dcc.Textarea(id="what-if-limits", value="\n".join(use_case.limits), rows=3, spellCheck=False)
    return [
        card("Weights", *sliders, note=use_case.about),
        card("Hard limits", _field("One a line, such as ttft_s.p95 < 2", limits)),
        card("Prices, times what they are", *prices) if prices else None,
        card(
            "Volume and budget",
            _field("Requests a month", _amount("what-if-volume", use_case.requests_per_month)),
            _field("USD a month at most", _amount("what-if-budget", use_case.budget_usd)),
        ),
    ]


def _slider(name: str, weight: float, share: str) -> Any:
    return html.Div(
        [
            html.Label(
                [html.Span(className="swatch", style={"background": COLOUR[name]}), html.Span(name)],
                htmlFor=f"what-if-{name}",
            ),
            html.Output(share, id=f"what-if-{name}-share"),
            dcc.Input(
                id=f"what-if-{name}", type="range", min=0, max=100, step=5, value=round(100 * weight), debounce=0.03
            ),
        ],
        className="slider",
    )


def _field(text: str, control: Any) -> Any:
    return html.Label([html.Span(text, className="label"), control], className="field")


def _amount(place: str | dict[str, str], value: float | None) -> Any:
    shown = None if value is None else f"{value:g}"
    return dcc.Input(id=place, type="text", inputMode="decimal", value=shown, debounce=0.2, autoComplete="off")


def _nothing_supposed(use: str, load: str) -> Supposed:
    stage, _, workload = load.partition(":")
    return Supposed(use, workload=workload, stage=int(stage))


class Asked(TypedDict):
    """What the page is about."""

    run: str
    use: str
    load: str


class PriceOf(TypedDict):
    """The id of an input for a price."""

    price: str


def callbacks(app: Any, site: Site) -> None:
    """Every change is answered from the numbers in memory."""
    sliders, shares = [f"what-if-{name}" for name in CATEGORIES], [f"what-if-{name}-share" for name in CATEGORIES]

    @app.callback(
        Output("what-if-says", "children"),
        Output("what-if-answer", "children"),
        *(Output(each, "children") for each in shares),
        *(Input(each, "value") for each in sliders),
        Input({"page": "what-if", "price": ALL}, "value"),
        Input("what-if-limits", "value"),
        Input("what-if-volume", "value"),
        Input("what-if-budget", "value"),
        State({"page": "what-if", "price": ALL}, "id"),
        State("what-if-asked", "data"),
        prevent_initial_call=True,
    )
    def ask(*values: Any) -> Any:
        *weights, prices, limits, volume, budget, priced, asked = values
        asked, limits = taken(asked, Asked), taken(limits, str | None)
        weights, prices = taken(weights, list[float | None]), taken(prices, list[str | float | None])
        named = [each["price"] for each in taken(priced, list[PriceOf])]
        if len(named) != len(prices):
            raise BadRequest("as many prices as places")
        try:
            supposed = _supposed(asked, weights, limits, volume, budget, dict(zip(named, prices, strict=True)))
        except UsageFault as fault:
            return [_refusal(fault), [], *[NOTHING] * len(CATEGORIES)]
        says, answers, told = _answered(site, asked, supposed)
        return [says, answers, *told]


def _supposed(
    asked: Asked, weights: list[Any], limits: str | None, volume: Any, budget: Any, prices: dict[str, Any]
) -> Supposed:
    """What stands in the controls."""
    stage, _, workload = asked["load"].partition(":")
    if not stage.isdecimal():
        raise UsageFault(f"load: {stage[:60]!r}: is none", "open the page anew")
    lines = [line.strip() for line in (limits or "").splitlines() if line.strip()]
    return Supposed(
        asked["use"],
        weights={name: float(value or 0) for name, value in zip(CATEGORIES, weights, strict=True)},
        limits=tuple(lines[:_MOST_LIMITS]),
        requests_per_month=_number("requests a month", volume),
        budget_usd=_number("USD a month", budget),
        factors={name: 1.0 if (found := _number(name, value)) is None else found for name, value in prices.items()},
        workload=workload,
        stage=int(stage),
    )


def _number(name: str, text: Any) -> float | None:
    """What was typed; None: nothing. Raises UsageFault: no number."""
    typed = str(text or "").strip()
    try:
        return float(typed) if typed else None
    except ValueError as error:
        raise UsageFault(f"{name[:60]}: {typed[:60]!r}: must be a number", "such as 1.5") from error


def _answered(site: Site, asked: Asked, supposed: Supposed) -> tuple[Any, list[Any], list[str]]:
    """The answer in short and at length, and the shares of the weights; or why there is none."""
    try:
        found = answer([site.runs.summary(asked["run"])], supposed)
    except UsageFault as fault:
        return _refusal(fault), [], [NOTHING] * len(CATEGORIES)
    shares = [f"{100 * found.weights.get(name, 0.0):.0f} %" for name in CATEGORIES]
    parts = [_choices(found), _reasons(found), _turns(found), _fail_over(found), _rest(found)]
    return _says(found), parts, shares


def _refusal(fault: UsageFault) -> Any:
    return html.Div([html.Strong(fault.message), html.P(fault.hint)], className="finding invalid", role="alert")


def _says(found: Recommendation) -> Any:
    return card(
        found.primary or "None",
        html.P(found.says, className="answer"),
        html.P(found.answer, className="soft"),
        **{"data-primary": found.primary or "", "data-answer": found.answer},
    )


def _choices(found: Recommendation) -> Any:
    heads = ("Target", "Limits", "Best in so many draws", "Loses on average", "A month")
    rows = []
    for each in found.choices:
        missed = [f"{limit.text}: {limit.met}" for limit in each.limits if limit.met != "met"]
        month, loss = each.usd_per_month, each.loss.value
        dollars = NOTHING if month is None or month.value is None else f"${month.value:,.2f}"
        lost = NOTHING if loss is None else f"{100 * loss:.1f} %"
        kept = html.Ul([html.Li(line) for line in missed], className="missed bare") if missed else "kept"
        rows.append([each.target, kept, share_text(each.best), lost, dollars])
    return card("Choices", table(heads, rows, left=2, label="Choices")) if rows else None


def _reasons(found: Recommendation) -> Any:
    if not found.reasons:
        return None
    note = "With the 95 % interval in brackets, and below each where the numbers stand in summary.json."
    return card("Reasons", html.Ul([_reason(each) for each in found.reasons]), note=note)


def _reason(reason: Reason) -> Any:
    places = ", ".join(quote.path for quote in reason.quotes)
    return html.Li([reason.says, html.Small(html.Code(places), className="quotes")])


def _turns(found: Recommendation) -> Any:
    lines = [html.Li(each.says) for each in found.sensitivity]
    nothing = html.P("No weight, limit or price alone would, or the answer is not settled.", className="soft")
    return card("What would change it", html.Ul(lines) if lines else nothing)


def _fail_over(found: Recommendation) -> Any:
    lines = [html.Li(each.says) for each in found.fail_over]
    return card("Fail-over", html.Ul(lines)) if lines else None


def _rest(found: Recommendation) -> Any:
    risks = [html.Li(f"{each.kind} ({each.level}): {each.says} {each.mitigation}") for each in found.risks]
    notes = [*map(apart_text, found.apart), *notes_of(found.weights, found.left_out, found.formula)]
    parts = [html.P(text, className="note") for text in notes]
    return html.Div([card("Risks", html.Ul(risks)) if risks else None, card("Method", *parts)], className="stack")


PAGE = Page("what-if", "What if", layout, callbacks)
