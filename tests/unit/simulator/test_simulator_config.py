from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageFault
from harness.records.dialect_names import KIND_OF_DIALECT
from harness.simulator.config import BUILT_IN, Config, Lognormal, config_from, load_config


def test_without_a_file_the_built_in_providers_speak_every_dialect() -> None:
    config = load_config(None)
    names = ("openai", "anthropic", "google", "jina", "azure", "bedrock", "vertex", "cohere", "mistral", "ollama")
    assert [provider.name for provider in config.providers] == [f"{name}-sim" for name in (*names, "tei", "infinity")]
    assert {dialect for provider in config.providers for dialect in provider.dialects} == set(KIND_OF_DIALECT)
    assert config.keys == ("sim-key",)


def test_a_built_in_provider_changes_only_where_it_is_named() -> None:
    config = config_from({"seed": 5, "providers": {"openai-sim": {"itl": 0.5}}})
    changed, original = config.providers[0], BUILT_IN[0]
    assert changed.itl == 0.5
    assert changed.ttft == original.ttft and changed.capacity == original.capacity
    assert config.providers[1:] == BUILT_IN[1:]
    assert config.seed == 5


def test_own_providers_come_after_the_built_in_ones_as_a_list_or_a_mapping() -> None:
    fields = {"dialects": ["openai-chat"], "ttft": {"kind": "lognormal", "median_s": 0.9, "sigma": 0.3}}
    listed = config_from({"providers": [{"name": "mine", **fields}]})
    assert listed == config_from({"providers": {"mine": fields}})
    assert listed.providers[-1].name == "mine"
    assert listed.providers[-1].ttft == Lognormal(median_s=0.9, sigma=0.3)


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "sim.yaml").write_text("# nothing yet\n")
    assert load_config(tmp_path / "sim.yaml") == Config()


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ([], "a mapping"),
        ({"sed": 1}, "unknown field `sed`"),
        ({"seed": -1}, "seed: -1: "),
        ({"providers": 3}, "providers"),
        ({"providers": {"openai-sim": 3}}, "providers"),
        ({"providers": [{"dialects": []}]}, "providers"),
        ({"providers": [{"name": "a", "dialects": ["openai-chat"]}] * 2}, "twice"),
        ({"providers": {"mine": {}}}, "dialects"),
        ({"providers": {"mine": {"dialects": []}}}, "dialects"),
        ({"providers": {"mine": {"dialects": ["morse"]}}}, "providers.mine.dialects"),
        ({"providers": {"openai-sim": {"ttft": {"kind": "lognormal", "median": 1}}}}, "providers.openai-sim.ttft"),
        ({"providers": {"openai-sim": {"itl": -0.1}}}, "providers.openai-sim.itl: -0.1: "),
        ({"providers": {"openai-sim": {"faults": [{"kind": "gremlin"}]}}}, "providers.openai-sim.faults"),
        ({"providers": {"openai-sim": {"faults": [{"kind": "reset", "probability": 2}]}}}, "probability"),
        ({"providers": {"openai-sim": {"reply_tokens": "many"}}}, "reply_tokens: 'many'"),
        ({"providers": {"v1": {"dialects": ["openai-chat"]}}}, "path of the server"),
        ({"providers": {"a/b": {"dialects": ["openai-chat"]}}}, "name"),
    ],
)
def test_a_bad_configuration_says_where_it_is_bad(mapping: Any, said: str) -> None:
    with pytest.raises(UsageFault) as caught:
        config_from(mapping, "sim.yaml")
    assert caught.value.message.startswith("sim.yaml: ")
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"providers: [", b"\xff\xfe\x00", None])
def test_a_file_that_cannot_be_read_is_the_users_fault(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "sim.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageFault) as caught:
        load_config(path)
    assert str(path) in caught.value.message and "\n" not in caught.value.message
