"""The base of every options class: the one home of a default, its bounds, its title and its help."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from .errors import InputError


class Options(BaseModel):
    """Frozen settings; an unknown name is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Mark(Enum):
    """Annotation of a field that some places treat otherwise, such as ``seed: Annotated[int, Mark.SHARED]``.

    `marked` finds the fields, so that no place keeps a list of their names.
    """

    OWN = "belongs to a computer or to one run: no recipe takes it over, and a run that goes on may have another"
    FREE = "says when a run ends or how it is computed: a run that goes on may have another"
    ELSEWHERE = "a dock has no row for it: another part of it sets it, or it is for long runs on other machines"
    FIXED = "a comparison sets it for all of its trainings"
    SHARED = "is a flag of a comparison, too, for all of its trainings"
    SLIDE = "is what a run over a slide is begun with and must go on with"
    ALONE = "means nothing where two models are compared"


def marked(kind: type[Options], *marks: Mark) -> tuple[str, ...]:
    """Names of the fields that have one of the marks, in the order of the class."""
    return tuple(name for name, field in kind.model_fields.items() if any(mark in field.metadata for mark in marks))


@dataclass(frozen=True)
class Choice:
    """Annotation for a ``str`` field whose values are the keys of a table.

    ``loss: Annotated[str, Choice(LOSSES)]`` accepts each key of ``LOSSES`` and names them all when given another
    value, so a new entry of the table is at once a new choice in the form, the command line and the file.
    """

    names: tuple[str, ...]

    def __init__(self, table: Mapping[str, Any] | Iterable[str]) -> None:
        object.__setattr__(self, "names", tuple(table))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: str) -> str:
        if value not in self.names:
            raise PydanticCustomError(
                "choice", "'{value}' is none of {names}", {"value": value, "names": ", ".join(self.names)}
            )
        return value


def first_problem(error: ValidationError) -> str:
    """The first thing pydantic found wrong, in words and without a full stop: ``slices.0.z: Field required``."""
    first = error.errors()[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), _reason(first))))


def problems_by_field(error: ValidationError) -> dict[str, str]:
    """What is wrong with each field, in words."""
    return {str(one["loc"][0]): _reason(one) for one in reversed(error.errors()) if one["loc"]}


def _reason(problem: ErrorDetails) -> str:
    # pydantic puts "Value error, " before what a validator of ours said.
    said = problem["ctx"]["error"] if problem["type"] == "value_error" else problem["msg"]
    return str(said).rstrip(".")


def one_sentence(error: ValidationError) -> InputError:
    """Turn pydantic's report into one sentence that names the setting."""
    return InputError(f"{first_problem(error)}.", "Correct this setting and start again.")
