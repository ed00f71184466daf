"""The skeleton of a page that opens anywhere: one file, no script, nothing from the network."""

from __future__ import annotations

from html import escape

from tasks.reporting.pages.style import STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What stands on a page was written by models and strangers."""


def document(title: str, lead: str, body: str, *, style: str = "", policy: str = POLICY) -> str:
    """The whole page as HTML.

    Args:
        title: plain text; escaped here.
        lead: HTML below the title.
        body: HTML of the rest.
        style: what the page needs beyond the style sheet of all pages.
        policy: Content Security Policy of the page.
    """
    name = escape(title)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{name}</title>
<style>{STYLE}{style}</style>
</head>
<body>
<main>
<h1>{name}</h1>
<p class="lead">{lead}</p>
{body}
</main>
</body>
</html>
"""
