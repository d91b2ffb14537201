"""XML and JSON from strangers: nothing is fetched, expanded or believed before it is checked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element, ElementTree, ParseError, indent

from napari_medseg.core import InputError, MedsegError
from napari_medseg.io.budget import in_gib, memory_budget
from napari_medseg.io.registry import read_start

_JSON_FACTOR = 20
"""Bytes of memory that one byte of JSON may take when it is parsed: lists of lists of small numbers."""

_XML_FACTOR = 12
"""The same of XML that is kept as a tree."""


@dataclass(frozen=True)
class Content:
    """A file of outlines, looked into.

    Attributes
    ----------
    path
        Where it lies.
    root
        Of XML, the name of the outermost element without its namespace; else empty.
    document
        Of JSON, what it holds; else None.
    """

    path: Path
    root: str = ""
    document: Any = None


def look_into(path: Path) -> Content:
    """Tell XML from JSON, by content; JSON is parsed whole, of XML only the first element.

    Raises
    ------
    InputError
        If it is neither, is damaged, or is XML that brings definitions of its own.
    """
    start = read_start(path)
    if not start.strip():
        raise InputError(f"{path.name} is empty.", "Export it again.")
    begins = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if begins.startswith((b"{", b"[")):
        return Content(path, document=_json(path))
    if begins.startswith(b"<") or start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Content(path, root=next(name for _, name, _ in stream(path)))
    raise InputError(f"{path.name} is neither XML nor JSON.", "Export the outlines again.")


def stream(path: Path) -> Iterator[tuple[str, str, Element]]:
    """Elements of an XML file as they come: ``("start" | "end", name without namespace, element)``.

    An element has its attributes at its start, and is emptied after its end: memory stays small whatever the size.

    Raises
    ------
    InputError
        If the XML is damaged or has a document type or entities, which can hide harm.
    """
    from defusedxml.ElementTree import iterparse

    with _checked(path), path.open("rb") as file:
        ancestors: list[Element] = []
        for event, element in iterparse(file, events=("start", "end"), forbid_dtd=True):
            yield event, local_name(element), element
            if event == "start":
                ancestors.append(element)
                if len(ancestors) > 500:
                    raise InputError(f"{path.name} is nested too deeply.", "Export it again.")
            else:
                ancestors.pop()
                element.clear()
                if ancestors:
                    ancestors[-1].remove(element)


def tree(path: Path) -> Element:
    """A whole XML file.

    Raises
    ------
    InputError
        As of `stream`, or if it is too large to be kept as a tree.
    """
    from defusedxml.ElementTree import iterparse

    _check_size(path, _XML_FACTOR)
    with _checked(path), path.open("rb") as file:
        return _bounded(iterparse(file, events=("start", "end"), forbid_dtd=True), path)


def local_name(element: Element) -> str:
    """Name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


@contextmanager
def laid_out(path: Path, title: str) -> Iterator[None]:
    """Say in one sentence that a file is not laid out as its format is.

    Raises
    ------
    InputError
        What is read within is not laid out so.
    """
    try:
        yield
    except MedsegError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:120] if not isinstance(error, ValueError) else str(error)[:120]
        raise InputError(
            f"{path.name} is not laid out as {title} is ({reason}).", "Export it again, or mend it."
        ) from error


def _bounded(events: Any, path: Path) -> Element:
    depth = 0
    root: Element | None = None
    for event, element in events:
        root = element if root is None else root
        depth += 1 if event == "start" else -1
        if depth > 200:
            raise InputError(f"{path.name} is nested too deeply.", "Export it again.")
    assert root is not None  # the parser has refused a file without elements
    return root


def _json(path: Path) -> Any:
    _check_size(path, _JSON_FACTOR)
    try:
        with path.open("rb") as file:
            return json.loads(_text(file))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path.name} is not valid JSON ({str(error)[:100]}).", "It was cut off or damaged: export it again."
        ) from error


def _text(file: BinaryIO) -> str:
    raw = file.read()
    return raw.decode(json.detect_encoding(raw))


def _check_size(path: Path, factor: int) -> None:
    need = path.stat().st_size * factor
    if need > memory_budget():
        raise InputError(
            f"{path.name} takes about {in_gib(need)} of memory to read; {in_gib(memory_budget())} are allowed here.",
            "Split it into several files.",
        )


@contextmanager
def _checked(path: Path) -> Iterator[None]:
    from defusedxml import DefusedXmlException

    try:
        yield
    except DefusedXmlException as error:
        raise InputError(
            f"{path.name} has a document type or entities of its own, which can hide harm; it is not read.",
            "Take out the part from '<!DOCTYPE' to its '>' if you trust it.",
        ) from error
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise InputError(
            f"{path.name} is not valid XML ({str(error)[:100]}).", "It was cut off or damaged: export it again."
        ) from error
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror}).", "Copy it again.") from error


def write_tree(path: Path, root: Element) -> None:
    """Write XML, one element a line."""
    document = ElementTree(root)
    indent(document, "\t")
    document.write(path, encoding="utf-8", xml_declaration=True)
