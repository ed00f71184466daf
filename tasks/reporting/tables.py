"""Tables of text cells as plain text and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def plain_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Columns of equal width under a header; numbers stand to the right."""
    if not rows:
        return "(none)"
    names = list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    numeric = {name for name in names if all(_is_number(row[name]) for row in rows)}

    def line(cells: Mapping[str, str]) -> str:
        padded = [cells[n].rjust(widths[n]) if n in numeric else cells[n].ljust(widths[n]) for n in names]
        return "  ".join(padded).rstrip()

    return "\n".join([line({n: n for n in names}), "  ".join("-" * widths[n] for n in names), *map(line, rows)])


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """A GitHub-flavoured Markdown table."""
    if not rows:
        return "(none)"
    names = list(rows[0])
    marks = ["---:" if all(_is_number(row[name]) for row in rows) else "---" for name in names]
    lines = [names, marks, *([row[name].replace("|", "\\|") for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _is_number(text: str) -> bool:
    return text.strip("%+-").replace(".", "", 1).replace(",", "").isdigit()
