"""The published schema of summary.json is the one that the records have."""

from __future__ import annotations

import json
from pathlib import Path

from analysis.summary import summary_schema

PUBLISHED = Path(__file__).parents[3] / "docs" / "summary.schema.json"


def test_the_published_schema_is_current() -> None:
    assert json.loads(PUBLISHED.read_text()) == json.loads(json.dumps(summary_schema()))
