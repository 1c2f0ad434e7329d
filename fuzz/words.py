"""What people, judges and browsers write, as functions of its bytes: rules, conversations, marks, forms, addresses."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl

from flask.testing import FlaskClient
from plotly.utils import PlotlyJSONEncoder

from analysis.answers.answers import graded
from analysis.comparing.goals import check_goal
from analysis.gating.gate_rules import forbids_better, read_gate
from dashboard.app import make_app
from dashboard.page_new import FieldAt, draft_of
from dashboard.permit import Permit
from dashboard.plan_draft import checked, text_of
from dashboard.routes import PAGES
from dashboard.runs import Runs
from dashboard.security import CSRF_HEADER, Policy, read_session
from dashboard.site import Site
from dashboard.what_if import Supposed, use_case_of
from fuzz.files import folder
from harness.errors import UsageFault
from harness.inputs.lengths import parse_length
from harness.inputs.numerals import numerals, written
from harness.questions.judging import marks_in, parts_of
from harness.records.question import Question
from harness.rules.alert_file import fault_of_url
from harness.workloads.conversation_files import read_conversations

_SEPARATOR = "\x1e"
_HERE = "http://127.0.0.1"
_CHOICE = Question(id="c", subject="s", kind="choice", stem="?", choices=("one", "two", "three"), answer="B")
_NUMBER = Question(id="n", subject="s", kind="number", stem="?", answer="42")
_TEXT = Question(id="t", subject="s", kind="text", stem="?", answer="Paris", references=("Paris", "the city of Paris"))


def _gate(text: str) -> None:
    forbids_better(read_gate(text))


def _length(text: str) -> None:
    with suppress(ValueError):
        assert parse_length(text).mean >= 1


def _use_case(text: str) -> None:
    name, limits, weight, *_ = [*text.split(_SEPARATOR), "", "", ""]
    weights = {"latency": len(weight) / 10}
    use_case_of(Supposed(name or "chatbot", weights=weights, limits=tuple(limits.split("\n"))))


_RULES: tuple[Callable[[str], object], ...] = (_gate, check_goal, _length, fault_of_url, _use_case)


def expressions(data: bytes) -> None:
    """A gate, a goal, a length, the address of a webhook, a use case that is supposed; the first byte says which."""
    read = _RULES[data[0] % len(_RULES)] if data else _gate
    with suppress(UsageFault):
        read(data[1:].decode("utf-8", "surrogateescape"))


def conversations(data: bytes) -> None:
    """A file of recorded conversations."""
    path = folder() / "talk.jsonl"
    path.write_bytes(data)
    read_conversations.cache_clear()
    with suppress(UsageFault):
        assert all(all(said) for said in read_conversations(str(path)))


def judgements(data: bytes) -> None:
    """What a judge says, and replies that are graded."""
    text = data.decode("utf-8", "replace")
    assert all(mark is None or 1 <= mark <= 5 for mark in marks_in(text))
    parts_of(text)
    for question in (_CHOICE, _NUMBER, _TEXT):
        graded(text, question)
    for found in numerals(text[:2000]):
        if found.value is not None:
            written(found)


@cache
def _runs() -> Path:
    """A folder with one run."""
    root = folder() / "runs"
    shutil.copytree(
        Path(__file__).parents[1] / "tests" / "old_runs" / "schema-3", root / "old" / "20261128T072011Z-f90c"
    )
    return root


@cache
def _site() -> Site:
    return Site(Runs(_runs()))


def forms(data: bytes) -> None:
    """The form of a new plan, field by field (`part row key value`, a line each), and the text that is made of it."""
    lines = data.decode("utf-8", "replace").split("\n")
    fields = [(*line.split(" ", 3), "", "", "", "")[:4] for line in lines]
    places = [FieldAt(part=part, row=len(row), key=key) for part, row, key, _ in fields]
    with suppress(UsageFault):
        checked(text_of(draft_of([value for *_, value in fields], places)), Permit())
    with suppress(UsageFault):
        checked(data.decode("utf-8", "replace"), Permit())


def addresses(data: bytes) -> None:
    """The query of a page's address; the first byte says which page. A session's cookie."""
    page = PAGES[data[0] % len(PAGES)] if data else PAGES[0]
    text = data[1:].decode("utf-8", "surrogateescape")
    with suppress(UsageFault):
        PlotlyJSONEncoder().encode(page.layout(_site(), dict(parse_qsl(text))))
    assert read_session(text.encode("utf-8", "replace").decode(), b"secret") is None


@cache
def _client() -> tuple[FlaskClient, str]:
    """A browser that has loaded the page, and the token that its requests repeat."""
    browser: FlaskClient = make_app(_runs(), policy=Policy()).server.test_client()
    set_cookies = browser.get("/", base_url=_HERE).headers.getlist("Set-Cookie")
    (csrf,) = (
        each.partition("=")[2].partition(";")[0] for each in set_cookies if each.partition("=")[0][-5:] == "_csrf"
    )
    return browser, csrf


def requests(data: bytes) -> None:
    """A request to the dashboard: method and path in the first line, then the body. It is answered, whatever it is."""
    first, _, body = data.partition(b"\n")
    method, _, path = first.decode("latin-1").partition(" ")
    browser, csrf = _client()
    answer = browser.open(
        f"/{path.lstrip('/')}",
        method=method if method in ("GET", "POST", "HEAD", "PUT") else "GET",
        data=body,
        content_type="application/json",
        headers={CSRF_HEADER: csrf},
        base_url=_HERE,
    )
    assert answer.status_code != 500, answer.get_data()[:300]
