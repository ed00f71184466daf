"""What pages of runs need beyond the style sheet of all pages and that of plots."""

from __future__ import annotations

from tasks.reporting.pages import plots

STYLE = f"""{plots.STYLE}
.charts {{ grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); }}
.pair {{ display: grid; gap: 8px 28px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); }}
.pair section {{ padding-top: 4px; }}
audio {{ width: 100%; height: 36px; margin: 4px 0; }}
.picture {{ background: #fff; border-radius: 8px; padding: 6px; margin: 14px 0; }}
.picture img {{ display: block; max-width: 100%; height: auto; }}
.better {{ color: var(--calm); font-weight: 600; font-size: 12.5px; }}
.worse {{ color: var(--alarm); font-weight: 600; font-size: 12.5px; }}
.finding {{ border-left: 4px solid var(--bar); padding-left: 12px; max-width: none; }}
.sections a {{ margin-right: 10px; white-space: nowrap; }}
td code {{ overflow-wrap: anywhere; }}
@media (max-width: 760px) {{ td.n small, td.n span {{ display: inline-block; max-width: 11ch; white-space: normal; }} }}
"""
