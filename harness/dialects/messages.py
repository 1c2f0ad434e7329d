"""The messages of a chat in each protocol's words: earlier turns, the prompt, and images beside it."""

from __future__ import annotations

from typing import Any

from harness.dialects.wire import Ask, Image

Messages = list[dict[str, Any]]


def openai_messages(ask: Ask) -> Messages:
    """As OpenAI has them, and those who follow it (Azure, Cohere, Mistral)."""
    content: Any = ask.texts[0]
    if ask.images:
        pictures = [{"type": "image_url", "image_url": {"url": _url(image)}} for image in ask.images]
        content = [{"type": "text", "text": ask.texts[0]}, *pictures]
    return [*_earlier(ask), {"role": "user", "content": content}]


def responses_input(ask: Ask) -> str | Messages:
    """OpenAI's Responses: a text where there is nothing else."""
    if not ask.history and not ask.images:
        return ask.texts[0]
    pictures = [{"type": "input_image", "image_url": _url(image)} for image in ask.images]
    content = [{"type": "input_text", "text": ask.texts[0]}, *pictures]
    return [*_earlier(ask), {"role": "user", "content": content if pictures else ask.texts[0]}]


def anthropic_messages(ask: Ask) -> Messages:
    """Anthropic's: images before the text, as it recommends."""
    content: Any = ask.texts[0]
    if ask.images:
        content = [*({"type": "image", "source": _anthropic_source(image)} for image in ask.images)]
        content.append({"type": "text", "text": ask.texts[0]})
    return [*_earlier(ask), {"role": "user", "content": content}]


def google_contents(ask: Ask) -> Messages:
    """Gemini's contents; the assistant's role is called `model`."""
    earlier = [
        {"role": "model" if turn.role == "assistant" else "user", "parts": [{"text": turn.text}]}
        for turn in ask.history
    ]
    pictures = [_google_part(image) for image in ask.images]
    return [*earlier, {"role": "user", "parts": [*pictures, {"text": ask.texts[0]}]}]


def bedrock_messages(ask: Ask) -> Messages:
    """Bedrock's: blocks of content. It takes no image by URL."""
    earlier = [{"role": turn.role, "content": [{"text": turn.text}]} for turn in ask.history]
    pictures = [{"image": {"format": "png", "source": {"bytes": image.data}}} for image in ask.images]
    return [*earlier, {"role": "user", "content": [*pictures, {"text": ask.texts[0]}]}]


def ollama_messages(ask: Ask) -> Messages:
    """Ollama's: images beside the content. It takes none by URL."""
    message: dict[str, Any] = {"role": "user", "content": ask.texts[0]}
    if ask.images:
        message["images"] = [image.data for image in ask.images]
    return [*_earlier(ask), message]


def _earlier(ask: Ask) -> Messages:
    return [{"role": turn.role, "content": turn.text} for turn in ask.history]


def _url(image: Image) -> str:
    return image.url or f"data:image/png;base64,{image.data}"


def _anthropic_source(image: Image) -> dict[str, str]:
    if image.url:
        return {"type": "url", "url": image.url}
    return {"type": "base64", "media_type": "image/png", "data": image.data or ""}


def _google_part(image: Image) -> dict[str, Any]:
    if image.url:
        return {"fileData": {"mimeType": "image/png", "fileUri": image.url}}
    return {"inlineData": {"mimeType": "image/png", "data": image.data}}
