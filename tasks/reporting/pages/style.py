"""The style sheet of all pages: readable in light and dark, on a screen and on a phone."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5c6370; --paper: #fff; --card: #f4f5f7; --line: #d9dce1;
  --bar: #3b6fb6; --alarm: #b3261e; --alarm-ground: #fdecea; --calm: #1b6e3c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa2ae; --paper: #15171a; --card: #1f2226;
  --line: #363b42; --bar: #6f9fe0; --alarm: #ff8a80; --alarm-ground: #3a1d1b; --calm: #7fd69f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 16px 20px 60px; }
h1 { font-size: 26px; margin: 8px 0 0; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 36px 0 8px; padding-top: 12px; border-top: 1px solid var(--line); }
h3 { font-size: 15px; margin: 12px 0 4px; overflow-wrap: anywhere; }
p { margin: 6px 0 10px; max-width: 78ch; overflow-wrap: anywhere; }
.lead, .source, figcaption, small, .legend { color: var(--soft); }
.source { font-size: 13px; }
a { color: var(--bar); }
.alarms { list-style: none; padding: 0; margin: 8px 0; display: grid; gap: 8px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); }
.alarms li { border-left: 4px solid var(--alarm); background: var(--alarm-ground); padding: 8px 12px;
  border-radius: 4px; }
.alarms b { color: var(--alarm); }
.calm { color: var(--calm); font-weight: 600; }
summary { cursor: pointer; color: var(--soft); }
.tiles { display: grid; gap: 10px; margin: 20px 0; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.tiles div { background: var(--card); border-radius: 8px; padding: 10px 12px; display: flex; flex-direction: column; }
.tiles b { font-size: 24px; font-variant-numeric: tabular-nums; }
.tiles span { font-size: 13px; }
.charts, .columns { display: grid; gap: 20px 28px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 310px), 1fr)); align-items: start; }
section { min-width: 0; }
figure { margin: 0; }
figcaption { font-size: 13px; }
figcaption b { color: var(--ink); }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th { text-align: left; color: var(--soft); font-weight: 500; }
th, td { padding: 3px 10px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: break-word; }
td:last-child:has(svg) { width: 36%; }
td svg { min-width: 50px; margin-top: 4px; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
q { quotes: none; }
svg { display: block; overflow: visible; }
svg text { fill: var(--soft); font-size: 11px; }
.bar { fill: var(--bar); }
.ground { fill: var(--line); background: var(--line); }
.axis { stroke: var(--soft); }
.median { stroke: var(--ink); stroke-width: 1.5; }
.bound { stroke: var(--alarm); stroke-width: 1.5; stroke-dasharray: 4 3; }
.ticks { display: flex; font-size: 11px; color: var(--soft); }
.ticks span { flex: 1; }
.key { display: inline-block; margin-right: 14px; font-size: 13px; }
.key i { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 5px; }
article { background: var(--card); border-radius: 8px; padding: 10px 16px; margin: 14px 0; }
.mark { display: inline-block; min-width: 20px; padding: 0 5px; margin-right: 8px; border-radius: 3px; color: #111;
  font-style: normal; font-size: 12px; font-weight: 600; text-align: center; }
svg .letter { fill: #111; font-size: 12px; font-weight: 600; }
.c0 { fill: #7fb2e5; background: #7fb2e5; } .c1 { fill: #f2b366; background: #f2b366; }
.c2 { fill: #84c99a; background: #84c99a; } .c3 { fill: #e58f95; background: #e58f95; }
.c4 { fill: #b9a3dd; background: #b9a3dd; } .c5 { fill: #e3d36b; background: #e3d36b; }
.c6 { fill: #7fcfd0; background: #7fcfd0; } .c7 { fill: #c8a98a; background: #c8a98a; }
.c8 { fill: #e39bcf; background: #e39bcf; } .c9 { fill: #9fb56a; background: #9fb56a; }
.c10 { fill: #d98f5f; background: #d98f5f; } .c11 { fill: #8f9fe0; background: #8f9fe0; }
.c12 { fill: #5fb3a1; background: #5fb3a1; } .c13 { fill: #c77f7f; background: #c77f7f; }
@media (max-width: 560px) { main { padding: 8px 12px 40px; } h1 { font-size: 22px; }
  .tiles { grid-template-columns: 1fr 1fr; } }
@media print { article, figure, section { break-inside: avoid; } }
"""
