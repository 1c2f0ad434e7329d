"""Result files of other benchmark tools: one pure file per tool, and `TOOLS`, all of them by name."""

from __future__ import annotations

from types import ModuleType

from analysis.rivals import aiperf, genai_bench, guidellm, inference_perf, llmperf, vllm_bench

TOOLS: dict[str, ModuleType] = {
    "aiperf": aiperf,
    "genai-bench": genai_bench,
    "guidellm": guidellm,
    "inference-perf": inference_perf,
    "llmperf": llmperf,
    "vllm bench": vllm_bench,
}  # each with is_one(document) and read(document, beside), as `analysis/rivals/files.py` calls them
