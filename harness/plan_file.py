"""Plans as files: YAML text -> checked `Plan`, and back. Every error names file, key, value and rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import yaml

from harness.errors import UsageFault
from harness.inputs.checked_yaml import fail, typed
from harness.inputs.lengths import parse_length
from harness.inputs.plain_yaml import plain_yaml, text_of_file
from harness.inputs.secrecy import holds_key, masked
from harness.plan import Inject, OutageRule, Plan, Stage, Target, Workload, cells, stages_of
from harness.records.dialect_names import KIND_OF_DIALECT
from harness.records.question import names_a_file
from harness.rules.alert_file import check_alerts
from harness.rules.chat_wishes import OF_CHAT_ALONE, faults_of_chat
from harness.rules.target_rules import wrong_in

SUITE = "suite:"
_PLAIN = Workload()
_GUIDE = ("", "docs/plan.md", "`tokenswarm init`")


def read_plan(source: str, settings: Iterable[str] = (), targets_file: Path | None = None) -> Plan:
    """The plan in a YAML file, or `suite:NAME` for one that is shipped.

    `settings` are `KEY=VALUE` texts laid over it (`stages.0.concurrency=20`, `targets.openai.model=x`; a value is
    YAML), `targets_file` a YAML list of targets that replaces the plan's own; of a suite, the workloads that none of
    them can run are then left out. Raises UsageFault.
    """
    document = _mapping(read_text(source), source)
    if targets_file is not None:
        document["targets"] = plain_yaml(read_text(str(targets_file)), str(targets_file))
        if source.startswith(SUITE):
            _leave_out_workloads(document)
            _replace_helpers(document)
    for setting in settings:
        _apply(document, setting)
    return _with_files_beside(source, plan_of(document, source))


def _with_files_beside(source: str, plan: Plan) -> Plan:
    """The path of a trace, a tokenizer or a file of questions is meant from the folder of its plan."""
    folder = Path.cwd() if source.startswith(SUITE) else Path(source).absolute().parent

    def settled(target: Target) -> Target:
        path = target.tokenizer
        is_file = path is not None and path.endswith(".json")
        return msgspec.structs.replace(target, tokenizer=str(folder / str(path))) if is_file else target

    plan = msgspec.structs.replace(plan, targets=tuple(settled(target) for target in plan.targets))
    plan = with_traces(plan, lambda trace: str(folder / trace))
    return with_questions(plan, lambda _, questions: str(folder / questions) if names_a_file(questions) else questions)


def with_questions(plan: Plan, settled: Callable[[str, str], str]) -> Plan:
    """The plan with the source of each workload's questions replaced, by the workload's name and the source."""
    workloads = tuple(
        msgspec.structs.replace(each, questions=settled(each.name, each.questions)) if each.questions else each
        for each in plan.workloads
    )
    return msgspec.structs.replace(plan, workloads=workloads)


def with_traces(plan: Plan, settled: Callable[[str], str]) -> Plan:
    """The plan with the path of each trace replaced, and of each file of conversations."""

    def changed(stage: Stage) -> Stage:
        return msgspec.structs.replace(stage, trace=settled(stage.trace)) if stage.trace else stage

    plan = _with_stages(plan, changed)
    workloads = tuple(
        msgspec.structs.replace(each, conversations=settled(each.conversations)) if each.conversations else each
        for each in plan.workloads
    )
    return msgspec.structs.replace(plan, workloads=workloads)


def _with_stages(plan: Plan, changed: Callable[[Stage], Stage]) -> Plan:
    """The plan with each stage changed, its own and those of its workloads."""
    workloads = tuple(
        msgspec.structs.replace(each, stages=tuple(changed(stage) for stage in each.stages)) for each in plan.workloads
    )
    return msgspec.structs.replace(plan, stages=tuple(changed(stage) for stage in plan.stages), workloads=workloads)


def _scaled(plan: Plan) -> Plan:
    """The plan at scale 1: its spans multiplied."""
    scale = plan.scale

    def changed(stage: Stage) -> Stage:
        inject = stage.inject
        if inject is not None:
            times = {"start_s": inject.start_s * scale, "duration_s": inject.duration_s * scale}
            inject = msgspec.structs.replace(inject, **times)
        warmup_s = None if stage.warmup_s is None else stage.warmup_s * scale
        return msgspec.structs.replace(stage, duration_s=stage.duration_s * scale, warmup_s=warmup_s, inject=inject)

    if scale == 1:
        return plan
    return msgspec.structs.replace(_with_stages(plan, changed), scale=1.0, warmup_s=plan.warmup_s * scale)


def _leave_out_workloads(document: dict[str, Any]) -> None:
    """Take out of a suite the workloads whose kind no target has; what is no list of targets is refused later."""
    targets = document["targets"] if isinstance(document["targets"], list) else []
    dialects = [each.get("dialect") for each in targets if isinstance(each, dict)]
    kinds = {KIND_OF_DIALECT.get(each) for each in dialects if isinstance(each, str)}
    if kinds and None not in kinds and "workloads" in document:
        document["workloads"] = [each for each in document["workloads"] if each.get("kind", "chat") in kinds]


def _replace_helpers(document: dict[str, Any]) -> None:
    """Whoever of a suite's targets helped to judge is followed by the first of its kind; where there is none, by
    nobody."""
    targets = document["targets"] if isinstance(document["targets"], list) else []
    kinds = {"embedder": "embeddings", "judge": "chat"}
    for name in document.get("quality", {}):
        fitting = [
            each.get("name")
            for each in targets
            if isinstance(each, dict) and KIND_OF_DIALECT.get(str(each.get("dialect"))) == kinds.get(name)
        ]
        if name in kinds:
            document["quality"][name] = fitting[0] if fitting else None


def plan_of_targets(path: Path) -> Plan:
    """A plan of the targets in a YAML list, with whatever workload fits them. Raises UsageFault."""
    targets = plain_yaml(read_text(str(path)), str(path))
    dialects = [each.get("dialect") for each in targets if isinstance(each, dict)] if isinstance(targets, list) else []
    kinds = {KIND_OF_DIALECT[each] for each in dialects if isinstance(each, str) and each in KIND_OF_DIALECT}
    workloads = [{"kind": kind, "name": kind} for kind in sorted(kinds)] or [{}]
    stages = [{"concurrency": 1, "duration_s": 1}]
    document = {"name": "targets", "targets": targets, "workloads": workloads, "stages": stages}
    return plan_of(document, str(path))


def with_outage(rule: OutageRule, settings: Iterable[str]) -> OutageRule:
    """The rule of outages with `KEY=VALUE` texts laid over it, such as `k=5`. Raises UsageFault."""
    document: dict[str, Any] = {"outage": msgspec.to_builtins(rule)}
    for setting in settings:
        _apply(document, f"outage.{setting}")
    return typed(document["outage"], OutageRule, "--outage", *_GUIDE)


def plan_of_text(text: str, place: str) -> Plan:
    """The plan in a YAML text whose paths need no settling. `place` names it in errors. Raises UsageFault."""
    return plan_of(_mapping(text, place), place)


def plan_of(document: Mapping[str, Any], place: str) -> Plan:
    """The plan that a mapping means. `place` names it in errors. Raises UsageFault."""
    document = dict(document)
    if "workload" in document:
        if "workloads" in document:
            fail(place, "workload", None, "a plan has either `workload` or `workloads`", "remove one of the two")
        document["workloads"] = [document.pop("workload")]
    plan = typed(document, Plan, place, *_GUIDE)
    _check_meaning(plan, place)
    return _scaled(plan)


def dump_plan(plan: Plan) -> str:
    """The resolved plan as YAML: every default written out; `read_plan` gives the same plan back."""
    return yaml.safe_dump(msgspec.to_builtins(plan), sort_keys=False, allow_unicode=True, width=120)


def suites() -> tuple[str, ...]:
    """The names of the plans that are shipped."""
    return tuple(sorted(path.name.removesuffix(".yaml") for path in files("harness").joinpath("suites").iterdir()))


def plan_schema() -> dict[str, Any]:
    """JSON Schema of a plan file."""
    schema = msgspec.json.schema(Plan)
    properties = schema["$defs"]["Plan"]["properties"]
    properties["workload"] = {"$ref": "#/$defs/Workload", "description": "One workload; short for `workloads`."}
    required = schema["$defs"]["Plan"]["required"]
    required.remove("workloads")
    schema["$defs"]["Plan"]["oneOf"] = [{"required": ["workload"]}, {"required": ["workloads"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "tokenswarm plan", **schema}


def read_text(source: str) -> str:
    """The text of a plan file or of a shipped suite. Raises UsageFault."""
    if source.startswith(SUITE):
        name = source.removeprefix(SUITE)
        if name not in suites():
            raise UsageFault(f"{source}: no such suite", f"choose one of: {', '.join(suites())}")
        return files("harness").joinpath("suites", f"{name}.yaml").read_text(encoding="utf-8")
    return text_of_file(Path(source), "a plan", "`tokenswarm init` writes a starter plan")


def _mapping(text: str, place: str) -> dict[str, Any]:
    document = plain_yaml(text, place)
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        found = "an empty file" if document is None else type(document).__name__
        raise UsageFault(f"{place}: {found}: a plan is a mapping of keys", "`tokenswarm init` writes a starter plan")
    return document


def _apply(document: dict[str, Any], setting: str) -> None:
    """Lay one `KEY=VALUE` over the document. A list is entered by index or by the `name` of an item."""
    key, equals, text = setting.partition("=")
    if not equals or not key or not key.isprintable():
        raise UsageFault(f"--set {masked(key)[:60]!a}: must be KEY=VALUE", "for example --set stages.0.concurrency=20")
    key = masked(key) if holds_key(key) else key  # then it is no key of a plan, and told as unknown
    value = plain_yaml(text, f"--set {key}")
    *parents, last = key.split(".")
    if parents and parents[0] == "workloads" and "workload" in document:
        document["workloads"] = [document.pop("workload")]
    place: Any = document
    for part in parents:
        place = _enter(place, part, key)
    if isinstance(place, list):
        place[_index(place, last, key)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise UsageFault(f"--set {key}: `{last}` is below a plain value", "name a key that the plan has")


def _enter(place: Any, part: str, key: str) -> Any:
    if isinstance(place, list):
        return place[_index(place, part, key)]
    if isinstance(place, dict):
        return place.setdefault(part, {})
    raise UsageFault(f"--set {key}: `{part}` is below a plain value", "name a key that the plan has")


def _index(items: list[Any], part: str, key: str) -> int:
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if part in names:
        return names.index(part)
    if part.isdigit() and int(part) < len(items):
        return int(part)
    known = ", ".join(str(name) for name in names if name) or f"0 to {len(items) - 1}"
    raise UsageFault(f"--set {key}: `{part}`: no such item in the list", f"there are: {known}")


def _check_meaning(plan: Plan, place: str) -> None:
    _check_unique(place, "targets", [target.name for target in plan.targets])
    _check_unique(place, "workloads", [workload.name for workload in plan.workloads])
    _check_helpers(plan, place)
    for index, target in enumerate(plan.targets):
        _check_target(plan, target, place, f"targets[{index}]")
    for index, stage in enumerate(plan.stages):
        _check_stage(stage, place, f"stages[{index}]")
    for index, workload in enumerate(plan.workloads):
        _check_workload(plan, workload, place, f"workloads[{index}]")
    check_alerts(plan.alerts, place, "alerts")
    if not cells(plan, 1):
        hint = "`rate_limit` wants a simulated target; `tokenswarm limits` measures a real one's limits"
        fail(place, "stages", None, "none of them can be run: their faults cannot be injected", hint)


def _check_unique(place: str, key: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            fail(place, key, name, "a name is used once", "give each its own `name`")


def _check_target(plan: Plan, target: Target, place: str, key: str) -> None:
    helps = target.name in (plan.quality.embedder, plan.quality.judge)
    if not helps and target.kind not in {workload.kind for workload in plan.workloads}:
        hint = f"add a workload with `kind: {target.kind}`"
        fail(place, f"{key}.dialect", target.dialect, f"no workload of kind `{target.kind}` for it", hint)
    _check_aws(target, place, key)
    for wrong in wrong_in(target):
        fail(place, f"{key}.{wrong.key}", wrong.shown, wrong.rule, wrong.hint)


def _check_aws(target: Target, place: str, key: str) -> None:
    """Whose requests are signed, and with what."""
    if target.aws is not None and target.dialect != "bedrock-converse":
        hint = "leave it out; other dialects send the key itself"
        fail(place, f"{key}.aws", None, f"is for the dialect `bedrock-converse`, not for `{target.dialect}`", hint)
    if target.aws is not None and target.key_env is None:
        fail(place, f"{key}.key_env", None, "`aws` wants a key to sign with", "such as AWS_SECRET_ACCESS_KEY")
    if target.dialect == "bedrock-converse" and target.aws is None and target.key_env == "AWS_SECRET_ACCESS_KEY":
        hint = "add `aws: {}`, so that requests are signed; AWS_BEARER_TOKEN_BEDROCK holds a key that is sent as it is"
        fail(place, f"{key}.key_env", target.key_env, "a secret key of AWS is never sent itself", hint)


def _check_helpers(plan: Plan, place: str) -> None:
    """The targets that help to judge replies."""
    for name, kind in (("embedder", "embeddings"), ("judge", "chat")):
        wanted = getattr(plan.quality, name)
        fitting = [target.name for target in plan.targets if target.kind == kind]
        if wanted is not None and wanted not in fitting:
            hint = f"name one of: {', '.join(fitting)}" if fitting else f"add a target of kind `{kind}`"
            fail(place, f"quality.{name}", wanted, f"must name a target of kind `{kind}`", hint)


def _check_stage(stage: Stage, place: str, key: str) -> None:
    traced = stage.arrival == "trace"
    if [stage.concurrency is not None, stage.rate_rps is not None, traced].count(True) != 1:
        rule = "a stage is closed (`concurrency`) or open (`rate_rps`, or `arrival: trace`): exactly one of them"
        fail(place, key, None, rule, "such as {concurrency: 8, duration_s: 60}")
    if traced != (stage.trace is not None):
        fail(place, f"{key}.trace", stage.trace, "`arrival: trace` and `trace: FILE` go together", "name both")
    if stage.end_concurrency is not None and stage.concurrency is None:
        hint = "use end_rate_rps in an open stage"
        fail(place, f"{key}.end_concurrency", stage.end_concurrency, "wants `concurrency`", hint)
    if stage.end_rate_rps is not None and stage.rate_rps is None:
        hint = "use end_concurrency in a closed stage"
        fail(place, f"{key}.end_rate_rps", stage.end_rate_rps, "wants `rate_rps`", hint)
    if stage.inject is not None:
        _check_inject(stage, stage.inject, place, f"{key}.inject")


def _check_inject(stage: Stage, inject: Inject, place: str, key: str) -> None:
    if not stage.open:
        hint = "name a rate_rps instead of concurrency"
        fail(place, key, None, "wants an open stage: users who wait for a hung reply would not see the repair", hint)
    if inject.start_s + inject.duration_s >= stage.duration_s:
        hint = "make the stage longer, so that the recovery lies in it"
        fail(place, f"{key}.duration_s", inject.duration_s, f"must end before the stage ({stage.duration_s:g} s)", hint)


def _check_workload(plan: Plan, workload: Workload, place: str, key: str) -> None:
    for name in ("input_tokens", "output_tokens"):
        value = getattr(workload, name)
        try:
            parse_length(value)
        except ValueError as error:
            fail(place, f"{key}.{name}", value, str(error), "such as 256, N(480,120) or U(100,400)")
    _check_replies(workload, place, key)
    if workload.kind == "chat" and workload.batch != 1:
        hint = "`kind: batch` sends jobs to a batch endpoint; stages of rising concurrency send chats at once"
        fail(place, f"{key}.batch", workload.batch, "a chat request holds one prompt", hint)
    for name, value, rule, hint in faults_of_chat(plan, workload):
        fail(place, f"{key}.{name}", value, rule, hint)
    if not stages_of(plan, workload):
        fail(place, key, None, "has no stages, nor has the plan", "add stages: [{concurrency: 8, duration_s: 60}]")
    for index, stage in enumerate(workload.stages):
        _check_stage(stage, place, f"{key}.stages[{index}]")
    if workload.kind not in {target.kind for target in plan.targets}:
        hint = "add a target whose dialect fits, or remove the workload"
        fail(place, f"{key}.kind", workload.kind, "no target of this kind", hint)


def _check_replies(workload: Workload, place: str, key: str) -> None:
    """What is asked of the text of replies."""
    if workload.echo and (workload.kind != "chat" or not workload.unique_prompts):
        hint = "leave it out for embeddings and rankings: they repeat no text"
        fail(place, f"{key}.echo", None, "wants a chat with unique_prompts", hint)
    if workload.questions is not None and workload.echo:
        fail(place, f"{key}.echo", None, "does not go with `questions`", "ask for codes in a workload of its own")
    for name in OF_CHAT_ALONE:
        if workload.kind != "chat" and getattr(workload, name) != getattr(_PLAIN, name):
            fail(place, f"{key}.{name}", None, "wants a chat", "leave it out: only a chat replies with text")
