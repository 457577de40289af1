"""The pictures in docs/screens: how they are drawn, and whether a page still is what one shows.

`make screens` draws them, and beside them `pictures.json`: of each the digest of the page as it
was (what is read and how it is built, not ids, times and numbers), of the file, and once the
digest of all styles. Every other run of the same tests draws nothing and compares.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).resolve().parents[2]
FOLDER = HOUSE / "docs" / "screens"
# `make screens` sets it: where the pictures go.
SCREENS = os.environ.get("SCREENS", "")
LIST = "pictures.json"
# What strangers named, in the pages as tested; in a picture it would only frighten. Each fair name
# has its place in lists where the other has it, and its length: a cell is as wide as it is long.
FAIR = {"<svg onload=x()>": "domicile-travail", "=HYPERLINK(1)": "bibliothèque"}
_STYLES = ("web/assets/css/*.css", "web/assets/vendor/*.css", "web/brand.py",
           "web/templates/web/icons.html")  # fmt: skip
_READ = """() => {
  const told = [];
  // Clocks, what a connection does, and what a script draws into a room that the server left empty.
  const apart = "time, [data-ago], .live-bar, .series-live, script, style";
  const tell = (node) => {
    if (node.nodeType === Node.TEXT_NODE) {
      const text = node.data.trim();
      if (text) told.push(text);
    } else if (node.nodeType === Node.ELEMENT_NODE && node.checkVisibility()) {
      told.push(`<${[node.tagName.toLowerCase(), ...[...node.classList].sort()].join(".")}>`);
      if (!node.matches(apart)) node.childNodes.forEach(tell);
      told.push("</>");
    }
  };
  tell(document.body);
  return told;
}"""


def draw(page: Any, name: str, *, whole: bool = True) -> str:
    """Draw the page as picture `name`, where that was asked for; or compare it with the picture.

    `whole` with what one would scroll to. What is wrong with the picture, "" when nothing is.
    """
    shown = digest(page)
    if SCREENS:
        target = Path(SCREENS) / f"{name}.png"
        page.screenshot(path=str(target), full_page=whole)
        _note(Path(SCREENS), name, {"page": shown, "file": file_digest(target)})
        return ""
    kept = listed()["pictures"].get(name, {}).get("page")
    if shown == kept:
        return ""
    return f"docs/screens/{name}.png shows another page than this one: `make screens` draws it anew"


def digest(page: Any) -> str:
    """Of what is read on the page and of its elements, the same for every run."""
    return hashlib.sha256(plain("\n".join(page.evaluate(_READ))).encode()).hexdigest()[:32]


def plain(text: str) -> str:
    """`text` without what differs from run to run: words with a digit in them, and names."""
    for hostile, fair in FAIR.items():
        text = text.replace(hostile, fair)
    marked = [
        line if line.startswith("<") else re.sub(r"\S*\d\S*(\s+\S*\d\S*)*", "#", line)
        for line in text.split("\n")
    ]
    return "\n".join(marked)


def file_digest(path: Path) -> str:
    """Of a picture as it lies there."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def styles() -> str:
    """The digest of everything that colours and places pages, whatever its white space."""
    paths = [path for pattern in _STYLES for path in sorted(HOUSE.glob(pattern))]
    words = [" ".join(path.read_text(encoding="utf-8").split()) for path in paths]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:32]


def listed(folder: Path = FOLDER) -> dict[str, Any]:
    """What `make screens` noted when it drew."""
    path = folder / LIST
    found: dict[str, Any] = {"pictures": {}}
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else found


def _note(folder: Path, name: str, one: dict[str, str]) -> None:
    pictures = {**listed(folder)["pictures"], name: one}
    text = json.dumps({"pictures": pictures, "styles": styles()}, indent=1, sort_keys=True)
    (folder / LIST).write_text(f"{text}\n", encoding="utf-8")
