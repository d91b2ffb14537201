"""Command line flags made from the fields of an Options class, so that both always agree."""

from __future__ import annotations

import inspect
import operator
import types
import typing
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import reduce
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from cyclopts import Parameter, Token, convert
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from napari_medseg.core import Choice, InputError, Options, one_sentence

_BOUNDS = ((Ge, "ge", "at least"), (Gt, "gt", "above"), (Le, "le", "at most"), (Lt, "lt", "below"))


def with_options(
    kind: type[Options], *, only: Collection[str] = (), skip: Collection[str] = (), keyword: str = "options"
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command one flag for every field of ``kind``.

    The command takes the finished options as its keyword ``keyword``; on the command line that argument is replaced by
    the flags. ``only`` names the fields that the command has flags for, ``skip`` those that it has none for.

    Raises
    ------
    InputError
        When the command runs: a value is out of its bounds.
    """

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        names = [name for name in only or kind.model_fields if name not in skip]

        def run(*args: Any, **given: Any) -> int:
            chosen = {name: given.pop(name) for name in names if name in given}
            try:
                options = kind(**chosen)
            except ValidationError as error:
                raise one_sentence(error) from error
            return command(*args, **given, **{keyword: options})

        own = inspect.signature(command, eval_str=True)
        parameters = [p for name, p in own.parameters.items() if name != keyword]
        flags = [_flag(name, kind.model_fields[name]) for name in names]
        run.__signature__ = own.replace(parameters=[*parameters, *flags])  # type: ignore[attr-defined]
        run.__doc__, run.__name__, run.__module__ = command.__doc__, command.__name__, command.__module__
        return run

    return decorate


def _flag(name: str, field: FieldInfo) -> inspect.Parameter:
    default = field.get_default(call_default_factory=True)
    empty = default is None or default is False or default in ((), "", {})
    kind = _flag_type(field)
    parameter = Parameter(
        help=help_text(field),
        converter=_read_whole if _is_whole(kind) else None,
        show_default=not empty,
        negative=() if default is False else None,
        consume_multiple=True if _is_sequence(field.annotation) else None,
    )
    annotation = typing.cast(Any, Annotated)[kind, parameter]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _is_whole(kind: Any) -> bool:
    """Whether a flag holds whole numbers: ``int``, ``int | None``, ``int | Literal["auto"]``, ``tuple[int, ...]``."""
    parts = {kind, *typing.get_args(kind)}
    return int in parts and float not in parts


def _read_whole(kind: Any, tokens: Sequence[Token]) -> Any:
    """Whole numbers; cyclopts itself rounds, and half a sample in a step would become 0, which chooses the batch.

    Raises
    ------
    InputError
        One is not whole.
    """
    for token in tokens:
        with suppress(ValueError):  # no number at all: cyclopts says so
            if not float(token.value).is_integer():
                raise InputError(f"{token.keyword} takes whole numbers, not {token.value}.", "Correct this number.")
    return convert(kind, tokens)


def _is_sequence(annotation: Any) -> bool:
    options = typing.get_args(annotation) if typing.get_origin(annotation) is not tuple else (annotation,)
    return any(typing.get_origin(option) is tuple and Ellipsis in typing.get_args(option) for option in options)


def _flag_type(field: FieldInfo) -> Any:
    """The field's type; a `Choice` becomes the Literal of its names, so that the help lists them."""
    for extra in field.metadata:
        if isinstance(extra, Choice):
            return Literal[extra.names]
    return _bare(field.annotation)


def _bare(annotation: Any) -> Any:
    """``int | Literal["auto"]`` of a union, ``tuple[int, ...]`` of a tuple whose parts have bounds.

    The options check those, in one sentence.
    """
    parts = [typing.get_args(p)[0] if typing.get_origin(p) is Annotated else p for p in typing.get_args(annotation)]
    if typing.get_origin(annotation) is tuple:
        return tuple[tuple(parts)]  # type: ignore[misc]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return reduce(operator.or_, parts)
    return annotation


def help_text(field: FieldInfo) -> str:
    """The field's description (or its title) and its bounds."""
    text = (field.description or field.title or "").strip()
    bounds = [
        f"{words} {getattr(extra, attribute):,}"
        for kind, attribute, words in _BOUNDS
        for extra in field.metadata
        if isinstance(extra, kind)
    ]
    text = text if not text or text.endswith((".", "!", "?")) else text + "."
    return f"{text} {', '.join(bounds).capitalize()}.".strip() if bounds else text
