"""The table of formats in the docs says what the registry says."""

from __future__ import annotations

import runpy
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def test_the_table_in_the_docs_is_that_of_the_registry() -> None:
    made = runpy.run_path(str(PROJECT / "scripts" / "format_table.py"))["page"]()
    assert made == (PROJECT / "docs" / "formats.md").read_text(encoding="utf-8"), "run scripts/format_table.py"
