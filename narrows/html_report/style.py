STYLE = """
:root { color-scheme: light; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; color: #27313c; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f8; }
header, main, footer { max-width: 78rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.25rem; }
h1 { margin: 0; font-size: 1.9rem; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.35rem; }
h3 { margin: 0; font-size: 1.05rem; }
p { margin: .4rem 0; }
.state { display: inline-block; margin-left: .6rem; padding: .1rem .6rem; border-radius: 1rem; background: #dfe7f1;
  font-size: .85rem; font-weight: 600; vertical-align: middle; }
.quiet, .note { color: #5a6673; }
.note { margin: .1rem 0 .4rem; font-size: .9rem; }
.card { margin: 1rem 0; padding: 1.1rem 1.25rem; border-radius: 10px; background: #fff; box-shadow: 0 1px 3px #0002; }
.plot { overflow-x: auto; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .75rem; margin: 1.25rem 0; }
.tile { padding: .8rem 1rem; border-radius: 10px; background: #fff; box-shadow: 0 1px 3px #0002; }
.tile b { display: block; font-size: 1.35rem; line-height: 1.25; overflow-wrap: anywhere; }
.tile span { color: #5a6673; font-size: .85rem; overflow-wrap: anywhere; }
.bar { display: flex; height: .8rem; margin: .75rem 0; border-radius: .4rem; overflow: hidden; background: #e8ecf0; }
.legend span { margin-right: 1.1rem; white-space: nowrap; }
.dot { display: inline-block; width: .7rem; height: .7rem; margin-right: .4rem; border-radius: 50%; }
.advice { margin: .25rem 0; padding-left: 1.2rem; }
.scroll { max-height: 30rem; overflow: auto; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid #e6eaee; text-align: right; vertical-align: top; }
th { position: sticky; top: 0; background: #fff; color: #5a6673; font-weight: 600; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.left { text-align: left; }
details summary { cursor: pointer; font-weight: 600; }
nav a { margin-right: 1.1rem; color: #1f5fae; }
footer { padding-top: 1.5rem; padding-bottom: 2.5rem; color: #5a6673; font-size: .85rem; }
@media print { body { background: #fff; } .card, .tile { box-shadow: none; border: 1px solid #dde2e7; } }
"""
