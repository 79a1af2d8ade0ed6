"""The page that asks a browser's user for a token: one document without a script, which loads nothing."""

import base64
import hashlib
from html import escape
from string import Template

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: light-dark(#f4f6f8, #14181d); }
main { width: min(26rem, calc(100vw - 4rem)); padding: 2rem; border-radius: 12px;
  background: light-dark(#fff, #1e242b); box-shadow: 0 8px 32px #0002; }
h1 { margin: 0 0 1rem; font-size: 1.4rem; }
label { display: block; font-weight: 600; }
input, button, a.button { box-sizing: border-box; width: 100%; margin-top: .5rem; padding: .65rem .8rem; font: inherit;
  border-radius: 8px; border: 1px solid light-dark(#8a94a0, #66707c); }
button, a.button { display: block; margin-top: 1rem; border: 0; text-align: center; text-decoration: none;
  cursor: pointer; color: #fff; background: #1f5fae; }
button.quiet { color: inherit; background: none; border: 1px solid light-dark(#8a94a0, #66707c); }
:focus-visible { outline: 3px solid #6aa5ee; outline-offset: 2px; }
.error { margin: 0 0 1rem; padding: .6rem .8rem; border-radius: 8px; color: light-dark(#8c1414, #ffb4b4);
  background: light-dark(#fdeaea, #43191c); }
.hint { margin: 1.25rem 0 0; font-size: .9rem; color: light-dark(#566070, #a7b1bd); }
code { font-size: .92em; overflow-wrap: anywhere; }
"""

PAGE = Template(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" href="data:,">
<style>$style</style>
</head>
<body>
<main>
<h1>Narrows</h1>
$content
</main>
</body>
</html>
"""
)

FORM = Template(
    """$error<form method="post" action="/login">
<input type="hidden" name="next" value="$next">
<label for="token">Token</label>
<input id="token" name="token" type="password" required autofocus autocomplete="current-password" spellcheck="false">
<button>Log in</button>
</form>
<p class="hint">Whoever runs this service makes tokens with
<code>narrows token create --scope read --name NAME</code>.</p>
"""
)

INSIDE = Template(
    """<p>Logged in with the token <strong>$name</strong>: $scopes.</p>
<a class="button" href="/dashboard">Dashboard</a>
<a class="button" href="/docs">API reference</a>
<form method="post" action="/logout"><button class="quiet">Log out</button></form>
"""
)

_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; form-action 'self'; base-uri 'none'"


def form(next_path: str, error: str | None = None) -> str:
    """Asks for a token, after an error with what was wrong."""
    shown = f'<p class="error" role="alert">{escape(error)}</p>\n' if error else ""
    return _page("Log in to Narrows", FORM.substitute(error=shown, next=escape(next_path)))


def inside(name: str, scopes: str) -> str:
    """Tells who is logged in, and lets them out."""
    return _page("Narrows", INSIDE.substitute(name=escape(name), scopes=escape(scopes)))


def _page(title: str, content: str) -> str:
    return PAGE.substitute(title=title, style=STYLE, content=content)
