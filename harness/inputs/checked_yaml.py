"""The plain values of YAML files -> typed records. Every error names place, key, value and rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

import msgspec

from harness.errors import UsageFault
from harness.inputs.secrecy import masked

Typed = TypeVar("Typed")
_AT = re.compile(r"^(?P<rule>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*)`$", re.DOTALL)
# Where somebody may have written a key by mistake; and where short values are none.
_SECRET = re.compile(r"_env$|\b(?:headers|body|aws|url)\b|secret")
_SHORT = re.compile(r"\b(?:query|argv)\b")
_MOST_SHORT = 7
_ANY = "[...]"
_JSON_NAMES: dict[type, str] = {type(None): "null", list: "array", dict: "object"}
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")


def typed(document: Mapping[str, Any], kind: type[Typed], place: str, under: str, guide: str, example: str) -> Typed:
    """A record of what a mapping says. `under` is the key that the mapping itself has (or ""), `guide` the page that
    lists the keys, `example` where one is shown. Raises UsageFault."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        _fail_conversion(document, error, (place, under, guide, example))


def _fail_conversion(
    document: Mapping[str, Any], error: msgspec.ValidationError, told: tuple[str, str, str, str]
) -> NoReturn:
    place, under, guide, example = told
    match = _AT.match(str(error))
    rule, path = (match["rule"], match["path"] or "$") if match else (str(error), "$")
    where = f"{under}{path.removeprefix('$')}".lstrip(".")
    unknown = _UNKNOWN.match(rule)
    if unknown:
        full = f"{where}.{masked(unknown['key'])}".lstrip(".")
        fail(place, full, None, "unknown key", f"see {guide} for the keys; a file is checked against them all")
    value: Any = document
    for name, index in _STEP.findall(path):
        value = value[int(index)] if index else value.get(name) if isinstance(value, dict) else None
    if where.endswith(_ANY) and isinstance(value, dict):
        key, value = _entry_of(value, rule)
        where = f"{where.removesuffix(_ANY)}{key}"
    long = _SHORT.search(where) and len(str(value)) > _MOST_SHORT
    shown = None if long or isinstance(value, (dict, list)) or _SECRET.search(where) else value
    fail(place, where, shown, rule[:1].lower() + rule[1:], f"see {guide}, or {example} for an example")


def _entry_of(mapping: Mapping[Any, Any], rule: str) -> tuple[str, Any]:
    """The entry of a mapping of free keys that breaks the rule: the first of the type that was not expected."""
    got = rule.rpartition("got `")[2].rstrip("`")
    for key, value in mapping.items():
        if got == _JSON_NAMES.get(type(value), type(value).__name__):
            return f".{key}", value
    return _ANY, None


def fail(place: str, key: str, value: Any, rule: str, hint: str) -> NoReturn:
    """Raise UsageFault: place, key, value (None: not shown; without what has the form of a key) and the rule that was
    broken."""
    shown = "" if value is None else f" {masked(value)[:80]!r}:" if isinstance(value, str) else f" {value}:"
    raise UsageFault(": ".join(part for part in (place, key) if part) + f":{shown} {rule}", hint)
