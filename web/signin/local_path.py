"""Where to go after a sign-in: a page of this site, never anything else."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlencode

HOME = "/"
LONGEST = 2048
_OWN = ("/sign-in", "/sign-out")  # going back there would go round in circles
# The letters of a path and a query in RFC 3986. No backslash (browsers read it as a slash), no
# control letter, no space, and no fragment, which never reaches a server anyway.
_FORM = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*(\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?")


def local_path(text: str) -> str:
    """`text` if it is the path of a page here, with its query; else the first page's.

    Strict on purpose: what browsers, proxies or we might read in two ways is not taken. Neither a
    host nor a scheme can be said in what remains.
    """
    if len(text) > LONGEST or not _FORM.fullmatch(text):
        return HOME
    path = text.partition("?")[0]
    for seen in (path, unquote(path), unquote(unquote(path))):
        if "//" in seen or "\\" in seen or not seen.isprintable() or "/../" in f"{seen}/":
            return HOME
    if any(path == own or path.startswith(f"{own}/") for own in _OWN):
        return HOME
    return text


def sign_in_path(back_to: str, *, again: bool = False) -> str:
    """The sign-in page that leads on to `back_to`; `again` for whoever is signed in already."""
    back_to = local_path(back_to)
    asked = {"next": back_to if back_to != HOME else "", "again": "1" if again else ""}
    query = urlencode({name: value for name, value in asked.items() if value}, safe="/")
    return f"/sign-in?{query}" if query else "/sign-in"
