"""The HTML around the parts of a page: its head, the links to its sections, style and script."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import NamedTuple

from ceflow.blocks.html import text


class Part(NamedTuple):
    """A part of a page: its heading, its content, and what is said small beside the heading."""

    heading: str
    content: str
    small: str = ""


def anchor(index: int) -> str:
    """Return the id of a part of the page; names of stages may be those of other parts."""
    return f"part-{index + 1}"


def whole_page(title: str, head: Sequence[str], top: Sequence[str], parts: Sequence[Part]) -> str:
    """Join a page: its title, facts below it, what is said first, and its parts with links."""
    script = _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}';"
        " img-src data:"
    )
    links = (
        f'<li><a href="#{anchor(index)}">{text(part.heading)}</a></li>'
        for index, part in enumerate(parts)
    )
    sections = (
        f'<section id="{anchor(index)}"><h2>{text(part.heading)}'
        + (f" <small>{text(part.small)}</small>" if part.small else "")
        + f"</h2>{part.content}</section>"
        for index, part in enumerate(parts)
    )
    meta = " · ".join(text(each) for each in head if each)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<title>{text(title)} · ceflow</title>
<style>{_asset("page.css")}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the results</a>
<header><div class="head"><h1>{text(title)}</h1></div><p class="meta">{meta}</p></header>
<main id="content">
{"".join(top)}
<nav aria-label="sections"><ul>{"".join(links)}</ul></nav>
{"".join(sections)}
</main>
<footer>Written by ceflow. This file needs no other.</footer>
<script>{script}</script>
</body>
</html>
"""


@cache
def _asset(name: str) -> str:
    return files("ceflow.report.page").joinpath(name).read_text(encoding="utf-8")
