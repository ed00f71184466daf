"""Beats and sections by engines of others: files that they wrote, read in place of what the analyser hears.

In the order of the data: ``beat_this`` and ``songformer`` read one format each, ``given`` says what
they hold, ``choose`` finds the files that the settings name and tells when they changed.
"""

from __future__ import annotations
