"""What is wanted of a reply beside text, in each protocol's words: a call of one of the tools, or JSON of a schema."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.dialects.wire import Ask

Fields = dict[str, Any]
_NAME = "reply"


def openai_wanted(ask: Ask, must_call: Any = "required") -> Fields:
    """Fields of OpenAI's chat, and of those who follow it; `must_call` is their word for that a tool has to be called
    (None: they have none)."""
    fields: Fields = {}
    if ask.tools:
        fields["tools"] = [{"type": "function", "function": _function(each)} for each in ask.tools]
        fields |= {} if must_call is None else {"tool_choice": must_call}
    if ask.schema is not None:
        schema = {"name": _NAME, "schema": ask.schema, "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    return fields


def responses_wanted(ask: Ask) -> Fields:
    """Fields of OpenAI's Responses."""
    fields: Fields = {}
    if ask.tools:
        fields |= {"tools": [{"type": "function", **_function(each)} for each in ask.tools], "tool_choice": "required"}
    if ask.schema is not None:
        form = {"type": "json_schema", "name": _NAME, "schema": ask.schema, "strict": True}
        fields["text"] = {"format": form}
    return fields


def anthropic_wanted(ask: Ask) -> Fields:
    """Fields of Anthropic's Messages."""
    fields: Fields = {}
    if ask.tools:
        tools = [
            {"name": each.name, "description": each.description, "input_schema": each.parameters} for each in ask.tools
        ]
        fields |= {"tools": tools, "tool_choice": {"type": "any"}}
    if ask.schema is not None:
        fields["output_config"] = {"format": {"type": "json_schema", "schema": ask.schema}}
    return fields


def google_tools(ask: Ask) -> Fields:
    """Gemini's tools; its schema stands in `google_config`."""
    if not ask.tools:
        return {}
    calling = {"functionCallingConfig": {"mode": "ANY"}}
    return {"tools": [{"functionDeclarations": [_function(each) for each in ask.tools]}], "toolConfig": calling}


def google_config(ask: Ask) -> Fields:
    """What belongs into Gemini's `generationConfig`."""
    return {} if ask.schema is None else {"responseMimeType": "application/json", "responseJsonSchema": ask.schema}


def bedrock_wanted(ask: Ask) -> Fields:
    """Fields of Bedrock's Converse, whose schema is a text."""
    fields: Fields = {}
    if ask.tools:
        tools = [
            {"toolSpec": {"name": each.name, "description": each.description, "inputSchema": {"json": each.parameters}}}
            for each in ask.tools
        ]
        fields["toolConfig"] = {"tools": tools, "toolChoice": {"any": {}}}
    if ask.schema is not None:
        schema = {"name": _NAME, "schema": msgspec.json.encode(ask.schema).decode()}
        fields["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
    return fields


def cohere_wanted(ask: Ask) -> Fields:
    """Fields of Cohere's chat."""
    fields = openai_wanted(ask, "REQUIRED")
    if ask.schema is not None:
        fields["response_format"] = {"type": "json_object", "json_schema": ask.schema}
    return fields


def ollama_wanted(ask: Ask) -> Fields:
    """Fields of Ollama's chat, which cannot be told to call a tool."""
    fields = openai_wanted(ask, None)
    fields.pop("response_format", None)
    return fields | ({} if ask.schema is None else {"format": ask.schema})


def _function(tool: Any) -> Fields:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
