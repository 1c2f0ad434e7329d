"""One dashboard: its runs, where it is mounted, who may use it; and what a page is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from dashboard.permit import Permit
from dashboard.runs import Runs
from dashboard.security import Policy
from dashboard.weighing import Weighing

Query = Mapping[str, str]  # of a page's address; the last value of each name


@dataclass(frozen=True)
class Site:
    """What every page is given. `prefix` begins and ends with a slash; `permit`: what plans of the page may do."""

    runs: Runs
    prefix: str = "/"
    policy: Policy = field(default_factory=Policy)
    permit: Permit = field(default_factory=Permit)
    weighing: Weighing = field(default_factory=Weighing)

    def href(self, path: str, **query: str | None) -> str:
        """The address of a page, with those parts of the query that are something."""
        known = {name: value for name, value in query.items() if value}
        return f"{self.prefix}{path}{'?' if known else ''}{urlencode(known)}"


def everybody(_: Site) -> bool:
    """A page that all may see."""
    return True


@dataclass(frozen=True)
class Page:
    """One page of the dashboard: a module with `layout` and `callbacks` and this record of them.

    `path`: its address below the prefix; `name`: as the navigation says it. `layout` makes its content from the query
    of its address and may raise UsageFault, which is shown. `callbacks` registers what it answers to; ids begin with
    the page's path. `shown`: whether the page is there at all.
    """

    path: str
    name: str
    layout: Callable[[Site, Query], Any]
    callbacks: Callable[[Any, Site], None]
    shown: Callable[[Site], bool] = everybody
