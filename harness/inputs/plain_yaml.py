"""YAML as people write it by hand: text -> values, in time and memory that its length bounds.

Refused: aliases (a few lines of them mean billions of values), deep nesting, numbers of absurd length, and a key that
stands twice in a mapping. A date is text, as in JSON: `api-version: 2024-10-21` means a version.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import yaml

from harness.errors import UsageFault
from harness.inputs.secrecy import masked

MOST_BYTES = 1_000_000
MOST_DEPTH = 64
_DEEP = re.compile(rf"(?:[\[{{][ \t]*){{{MOST_DEPTH + 1}}}")
_MOST_NUMBER = 400  # characters: YAML 1.1 reads 59:59:59... as one number
# What PyYAML's constructors raise on dates and numbers that are none, and on keys that cannot be keys.
_UNUSABLE = (ValueError, TypeError, ArithmeticError, AttributeError, LookupError, RecursionError)
_DATE = "tag:yaml.org,2002:timestamp"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def read_plain_yaml(path: Path, hint: str, what: str = "YAML") -> Any:
    """The value in a YAML file. `what` it should be stands in errors. Raises UsageFault."""
    return plain_yaml(text_of_file(path, what, hint), str(path), hint, what)


def text_of_file(path: Path, what: str, hint: str) -> str:
    """The text of a file, `what` it should be, and the `hint` where there is none to read. Raises UsageFault."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)  # what a device or a pipe holds is not known before
    except OSError as error:
        raise UsageFault(f"{path}: cannot be read: {error.strerror}", hint) from error
    if len(content) > MOST_BYTES:
        raise UsageFault(f"{path}: is longer: {what} has at most {MOST_BYTES} bytes", f"is it {what}?")
    try:
        return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8").read()
    except UnicodeDecodeError as error:
        raise UsageFault(f"{path}: byte {error.start}: not UTF-8 text", "save it as UTF-8") from error


def plain_yaml(text: str, place: str, hint: str = "check indentation, colons and quotes", what: str = "YAML") -> Any:
    """The value that a YAML text means. `place` begins errors; `what` it should be follows. Raises UsageFault."""
    if _DEEP.search(text):  # the scanner looks far ahead for the end of each: a thousand take it a tenth of a second
        raise UsageFault(f"{place}: not {what}: nested more than {MOST_DEPTH} deep", hint)
    try:
        return _Plain(text).get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise UsageFault(f"{place}: not {what}: {line}{masked(problem)}", hint) from error
    except _UNUSABLE as error:
        raise UsageFault(f"{place}: not {what}: {masked(' '.join(str(error).split())[:200])}", hint) from error


class _Plain(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses what makes much of little, and takes dates for text."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (PyYAML's name, of its class)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _DATE]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """One value, with what is in it."""
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "anchors and aliases (`*name`) are not allowed", mark)
        if self._depth >= MOST_DEPTH:
            raise yaml.composer.ComposerError(None, None, f"nested more than {MOST_DEPTH} deep", mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A mapping. Of a key that stands twice the first value would be passed over."""
        node = super().compose_mapping_node(anchor)
        seen = set[tuple[str, str]]()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if (key.tag, key.value) in seen:
                problem = f"{key.value}: the key stands there twice"
                raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
            seen.add((key.tag, key.value))
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        """One plain value."""
        node = super().compose_scalar_node(anchor)
        if node.tag in _NUMBERS and len(node.value) > _MOST_NUMBER:
            problem = f"a number of {len(node.value)} characters"
            raise yaml.composer.ComposerError(None, None, problem, node.start_mark)
        if any("\ud800" <= letter <= "\udfff" for letter in node.value):
            raise yaml.composer.ComposerError(None, None, "half of a character", node.start_mark)
        return node
