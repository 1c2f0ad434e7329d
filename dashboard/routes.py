"""The pages of the dashboard, in the order of its navigation. A page is added by its module and one line here
(docs/dashboard.md)."""

from __future__ import annotations

from dashboard import page_leaderboard
from dashboard.site import Page

PAGES: tuple[Page, ...] = (page_leaderboard.PAGE,)
