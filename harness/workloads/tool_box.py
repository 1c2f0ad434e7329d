"""Tools that prompts offer: functions as weather services and search engines have them, made here."""

from __future__ import annotations

from functools import lru_cache

from harness.dialects.wire import Tool

_SUBJECTS = ("weather", "calendar", "stock", "flight", "recipe", "contact", "invoice", "ticket")


@lru_cache(maxsize=64)
def tools(count: int) -> tuple[Tool, ...]:
    """So many functions, alike for every provider."""
    return tuple(_tool(number) for number in range(count))


def _tool(number: int) -> Tool:
    subject = _SUBJECTS[number % len(_SUBJECTS)]
    parameters = {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": f"what to look for in the {subject} service"},
            "limit": {"type": "integer", "description": "how many results at most"},
        },
        "required": ["query", "limit"],
        "additionalProperties": False,
    }
    return Tool(f"find_{subject}_{number}", f"Looks up {subject} data and returns the best results.", parameters)
