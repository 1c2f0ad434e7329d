"""Callbacks that take only what their annotations say: whatever else a client sends is no request of a page."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec
from dash import ctx
from werkzeug.exceptions import BadRequest

Answer = Callable[..., Any]


def typed(function: Answer) -> Answer:
    """The callback behind a check of its values, by the types of its parameters; raises BadRequest. `Any`: whatever it
    is, it is not looked at, or by code that takes everything."""
    hints = get_type_hints(function)
    parameters = list(inspect.signature(function).parameters.values())
    rest = parameters[-1] if parameters and parameters[-1].kind is inspect.Parameter.VAR_POSITIONAL else None

    @functools.wraps(function)
    def strict(*values: Any) -> Any:
        kinds = (hints[(rest or parameters[place]).name] for place in range(len(values)))
        return function(*(taken(value, kind) for value, kind in zip(values, kinds, strict=True)))

    return strict


def taken(value: Any, kind: Any) -> Any:
    """What a client sent, as a page sends it: of that type. A slider that is moved by keys sends its number as text.
    Raises BadRequest."""
    try:
        if isinstance(value, str):
            value.encode()  # half of a character is no text
        return msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise BadRequest(str(error)) from error


def pressed(kind: Any) -> Any:
    """The id of the button that was pressed. Raises BadRequest."""
    return taken(ctx.triggered_id, kind)
