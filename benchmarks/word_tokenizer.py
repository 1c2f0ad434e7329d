"""A tokenizer in a folder, for tools that will not start without one: a word is a token. No network is needed."""

from __future__ import annotations

import json
from pathlib import Path

_WORDS = (  # noqa: SIM905  (easier to read than a hundred literals)
    "the a of and to in is that it for was on are as with his they at be this from have or by one had not but "
    "what all were when we there can an your which their said if do will each about how up out them then she "
    "many some so these would other into has more her two like him see time could no make than first been its who"
).split()
_SPECIAL = ("<unk>", "<s>", "</s>")


def write_tokenizer(folder: Path) -> Path:
    """Write the files that Hugging Face's `AutoTokenizer.from_pretrained(folder)` reads; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = [*_SPECIAL, *_WORDS, *(f"w{number}" for number in range(1000))]
    added = [
        {"id": index, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True}
        for index, token in enumerate(_SPECIAL)
    ]  # fmt: skip
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {token: index for index, token in enumerate(tokens)},
            "unk_token": "<unk>",
        },
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "</s>",
        "model_max_length": 100_000,
        "chat_template": "{% for message in messages %}{{ message['content'] }} {% endfor %}",
    }
    config = {"model_type": "gpt2", "vocab_size": len(tokens)}
    for name, content in (("tokenizer", tokenizer), ("tokenizer_config", settings), ("config", config)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
