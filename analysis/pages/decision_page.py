"""A recommendation as one self-contained HTML page. Names from a plan are hostile text: Jinja2 escapes them."""

from __future__ import annotations

from pathlib import Path

import jinja2

from analysis.deciding import wording_decision
from analysis.deciding.recommendation_record import Recommendation
from harness.rundir import write_out

_PAGE = jinja2.Environment(
    loader=jinja2.PackageLoader("analysis"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
)
_PAGE.filters |= {"choice": wording_decision.choice_text, "apart": wording_decision.apart_text}


def write_decision(found: Recommendation, out: Path) -> None:
    """Write the page, whole or not at all."""
    write_out(out, decision_page(found).encode())


def decision_page(found: Recommendation) -> str:
    """The page as text."""
    return _PAGE.get_template("decision.html").render(found=found, said=wording_decision).lstrip()
