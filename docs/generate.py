"""Pages that are made from the code: `python docs/generate.py` writes `docs/reference` and the map, `--check` compares.

Commands come from click, plan and summary from their schemas, errors from the taxonomy, findings from the places where
they are raised, the map from docstrings and imports. A test fails when a page is not what the code says.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from analysis.summary import summary_schema  # noqa: E402
from docs.code_map import code_map  # noqa: E402
from harness.cli import tokenswarm  # noqa: E402
from harness.errors import CLASS_OF, ErrorKind  # noqa: E402
from harness.plan_file import plan_schema  # noqa: E402

PAGES = ROOT / "docs"
_NOTE = "<!-- made by docs/generate.py: change the code, not this page -->\n"


_CODES = """Results go to stdout, progress and findings to stderr. Exit codes: 0 done and valid; 1 failed; 2 bad usage,
plan or input; 3 finished, but invalid or a gate failed; 130 interrupted.
"""


def commands() -> str:
    """Every verb with its usage, its options and its example."""
    parts = [
        _NOTE,
        "# Commands\n",
        _CODES,
    ]
    context = click.Context(tokenswarm, info_name="tokenswarm", max_content_width=100)
    for name in sorted(tokenswarm.list_commands(context)):
        command = tokenswarm.get_command(context, name)
        assert command is not None
        own = click.Context(command, info_name=name, parent=context, max_content_width=100, terminal_width=100)
        parts.append(f"## {name}\n\n```text\n{command.get_help(own)}\n```\n")
    return "\n".join(parts)


def of_schema(title: str, intro: str, schema: Mapping[str, Any]) -> str:
    """Each record of a JSON schema: its description, and its keys with type and default."""
    parts = [_NOTE, f"# {title}\n", intro + "\n"]
    for name, record in schema["$defs"].items():
        if "properties" not in record:
            continue
        rows = [_row(key, field, record.get("required", [])) for key, field in record["properties"].items()]
        table = "\n".join(["| key | type | default |", "|---|---|---|", *rows])
        parts.append(f"## {name}\n\n{_prose(record.get('description', ''))}\n\n{table}\n")
    return "\n".join(parts)


def _prose(text: str) -> str:
    """A docstring as Markdown: its lines without their indentation, angle brackets as text."""
    lines = [line.strip() for line in text.splitlines()]
    return "\n".join(lines).strip().replace("<", "&lt;").replace("*", r"\*")


def _row(key: str, field: Mapping[str, Any], required: list[str]) -> str:
    return f"| `{key}` | {_type(field)} | {'required' if key in required else _default(field)} |"


def _default(field: Mapping[str, Any]) -> str:
    """As a plan or JSON would say it; that of a whole record is the sum of its keys' own."""
    value = field.get("default")
    return "its keys' own" if value and "$ref" in field else f"`{json.dumps(value)}`"


def _type(field: Mapping[str, Any]) -> str:
    """A schema's type in a few words."""
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_type(each) for each in field["anyOf"]))
    if field.get("type") == "array":
        items = field.get("items") or {}
        return f"list of {_type(items)}" if items else f"{len(field.get('prefixItems', []))} values"
    if field.get("type") == "object":
        values = field.get("additionalProperties")
        return f"mapping of {_type(values)}" if isinstance(values, Mapping) and values else "mapping"
    limits = [f"{sign} {field[name]:g}" for name, sign in _LIMITS.items() if name in field]
    return " ".join([str(field.get("type", "anything")), *limits])


_LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def errors() -> str:
    """The taxonomy: kinds with their class, in the words that stand beside them in the code."""
    source = (ROOT / "harness" / "errors.py").read_text(encoding="utf-8")
    said = dict(re.findall(r'^    \w+ = "(\w+)"  # (.+)$', source, re.MULTILINE))
    rows = [f"| `{kind.value}` | {CLASS_OF[kind].value} | {said.get(kind.value, '')} |" for kind in ErrorKind]
    intro = "What an attempt can fail of. Server, transport and stream count as failures of the provider.\n"
    return "\n".join([_NOTE, "# Errors\n", intro, "| kind | class | what it is |", "|---|---|---|", *rows, ""])


def findings() -> str:
    """Every doubt that the code can have, from the places where it is raised."""
    rows = sorted({row for path in _sources() for row in _raised(path)})
    intro = "Doubts about a run, in `validity.findings` of `summary.json`: the worst severity is the verdict.\n"
    head = ["| code | severity | why it matters | what to do |", "|---|---|---|---|"]
    return "\n".join([_NOTE, "# Findings\n", intro, *head, *rows, ""])


_SHOWN = "live_picture.py"  # says again what the final judgement will
_VARIES = "(depends on what was seen)"
_MAKERS = {
    "Finding": (),
    "_doubt": ("code", "severity", "saw", "why", "hint"),
    "_note": ("code", "saw", "why", "hint"),
}  # what makes a finding, with the order of its arguments


def _sources() -> list[Path]:
    return [
        path
        for package in ("analysis", "harness")
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name != _SHOWN
    ]


def _raised(path: Path) -> Iterator[str]:
    """A row for each place of a file that makes a finding; texts that are put together then have an ellipsis."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    known = {name: said for node in module.body for name, said in _assigned(node, {})}
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef):
            for statement in ast.walk(function):
                if isinstance(statement, ast.Assign | ast.Expr | ast.Return):
                    texts = known | _texts(function, statement, known)
                    made = filter(None, (_made(node, texts) for node in ast.walk(statement)))
                    yield from (f"| `{code}` | {' | '.join(rest)} |" for code, *rest in made)


def _texts(function: ast.FunctionDef, at: ast.stmt, known: Mapping[str, str]) -> dict[str, str]:
    """Names that were given a text before a statement: the last text, or it and those of deeper branches behind it."""
    found: dict[str, list[str]] = {}
    before = [node for node in ast.walk(function) if isinstance(node, ast.Assign) and node.lineno < at.lineno]
    for node in sorted(before, key=lambda each: each.lineno):
        texts = {**known, **{name: _OR.join(said) for name, said in found.items()}}
        for name, said in _assigned(node, texts):
            earlier = found.get(name, []) if node.col_offset > at.col_offset else []
            found[name] = [*earlier, said]
    return {name: _OR.join(dict.fromkeys(filter(None, said))) for name, said in found.items()}


_OR = "; or: "


def _assigned(node: ast.stmt, texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        yield node.targets[0].id, _text(node.value, texts)


def _text(node: ast.AST | None, texts: Mapping[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Name):
        return texts.get(node.id, "")
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, texts)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, texts) or "…" for part in node.values)
    if isinstance(node, ast.IfExp):
        return _OR.join(filter(None, (_text(node.body, texts), _text(node.orelse, texts))))
    return ""


def _made(call: ast.AST, texts: Mapping[str, str]) -> tuple[str, str, str, str] | None:
    """Code, severity, why and hint of a call that makes a finding; None for any other node."""
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id not in _MAKERS:
        return None
    words = {word.arg or "": word.value for word in call.keywords}
    given = dict(zip(_MAKERS[call.func.id], call.args, strict=False)) | words
    if not isinstance(given.get("code"), ast.Constant):
        return None
    code, severity, why, hint = (_text(given.get(name), texts) for name in ("code", "severity", "why", "hint"))
    if call.func.id == "_note":
        severity = "note"
    return code, severity or "as bad as it is", why or _VARIES, hint or _VARIES


def pages() -> dict[str, str]:
    """Every generated page by its place below `docs`."""
    return {
        "reference/commands.md": commands(),
        "reference/plan.md": of_schema(
            "Plan, every key", "What they are for is said in [the plan](../plan.md).", plan_schema()
        ),
        "reference/summary.md": of_schema(
            "summary.json", "Every record of `summary.json`. Times are seconds; null is not measured.", summary_schema()
        ),
        "reference/errors.md": errors(),
        "reference/findings.md": findings(),
        "map.md": code_map(),
    }


def main() -> int:
    """Write the pages, or with `--check` say which are not current (exit code 1)."""
    stale = [
        name
        for name, text in pages().items()
        if not (PAGES / name).exists() or (PAGES / name).read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv:
        for name in stale:
            sys.stderr.write(f"docs/{name}: not what the code says\nhint: python docs/generate.py\n")
        return 1 if stale else 0
    (PAGES / "reference").mkdir(exist_ok=True)
    for name, text in pages().items():
        (PAGES / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
