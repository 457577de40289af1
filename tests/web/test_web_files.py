"""What browsers fetch: nothing altered, nothing heavy, nothing inline, readable in both schemes."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files as resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tests.web.sample import surface
from trust.clock import ManualClock
from web import files
from web.brand import DARK, LIGHT, MARK_CONTRAST, TEXT_CONTRAST, Brand, contrast, over, readable
from web.errors import AssetRefused

HOUSE = Path(__file__).resolve().parents[2]
VENDORED = [HOUSE / "web" / "assets" / "vendor", HOUSE / "tests" / "web" / "vendor"]
# What a first page of every surface loads; the series' script is for pages that ask for it.
FIRST = ("kit.css", "brand.css", "htmx.min.js", "hx-sse.min.js", "kit.js", "mark.svg")
SERIES = ("uPlot.iife.min.js", "uPlot.min.css")
BUDGET = 150_000  # bytes, packed
FREE = {"0BSD", "MIT", "ISC", "BSD-3-Clause", "MPL-2.0"}
CSS = HOUSE / "web" / "assets" / "css"
# The licence of each package, as it was published with it.
LICENCES = {"htmx.org": "htmx", "uplot": "uPlot", "axe-core": "axe"}


@pytest.mark.parametrize("folder", VENDORED, ids=lambda path: path.parts[-3])
def test_what_others_wrote_is_what_they_published(folder: Path) -> None:
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    assert {entry["file"] for entry in listed} == {
        path.name
        for path in folder.iterdir()
        if path.name != "manifest.json" and path.suffix != ".LICENSE"
    }
    for entry in listed:
        data = (folder / entry["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
        assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", entry["version"])
        assert entry["licence"] in FREE
    assert {path.stem for path in folder.glob("*.LICENSE")} == {
        LICENCES[entry["package"]] for entry in listed
    }
    for path in folder.glob("*.LICENSE"):
        assert re.search("(?i)permission|licen[cs]e", path.read_text(encoding="utf-8")), path


def test_the_versions_are_the_ones_that_were_measured() -> None:
    listed = json.loads((VENDORED[0] / "manifest.json").read_text())["files"]
    versions = {entry["package"]: entry["version"] for entry in listed}
    assert versions == {"htmx.org": "4.0.1", "uplot": "1.6.32"}
    assert b'"4.0.1"' in (VENDORED[0] / "htmx.min.js").read_bytes()


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    for path in VENDORED[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert len(files.vendored(tmp_path)) == 4
    with (tmp_path / "htmx.min.js").open("ab") as altered:
        altered.write(b" ")
    with pytest.raises(AssetRefused, match="not the one of its manifest"):
        files.vendored(tmp_path)


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(surface.surface(surface.kit(ManualClock(surface.START)))[0])


def test_a_first_load_is_light(client: TestClient) -> None:
    assets = files.load(extra=Brand("x").assets())
    page = len(gzip.compress(client.get("/").content, 6))
    assert files.first_load(assets, [*FIRST, *SERIES]) + page < BUDGET / 2
    named = set(re.findall(r'(?:src|href)="(/assets/[^"]+)"', client.get("/").text))
    assert named == {assets.path(name) for name in [*FIRST, *SERIES]}


def test_files_are_named_by_their_bytes_and_kept_for_ever(client: TestClient) -> None:
    for path in re.findall(r'(?:src|href)="(/assets/[^"]+)"', client.get("/").text):
        plain = client.get(path, headers={"accept-encoding": "identity"})
        assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert "content-encoding" not in plain.headers
        assert hashlib.sha256(plain.content).hexdigest()[:12] in path
        packed = client.get(path, headers={"accept-encoding": "gzip, br"})
        assert packed.content == plain.content  # the client unpacks it
        assert client.get(path.replace(".", ".0", 1)).status_code == 404
        assert client.head(path).status_code == 200


def test_no_path_leads_out_of_the_assets(client: TestClient) -> None:
    for path in ("/assets/../kit.py", "/assets/%2e%2e/kit.py", "/assets//etc/passwd", "/assets/"):
        assert client.get(path).status_code == 404


class Inline(HTMLParser):
    """Everything in a page that the policy would not run, or that would run what it must not."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._inside = tag if tag in {"script", "style"} and "src" not in given else ""
        for name, value in attrs:
            low = (value or "").lower().replace(" ", "")
            if name == "id":
                self.ids.append(value or "")
            if name == "style" or name.startswith(("on", "hx-on")) or name == "nonce":
                self.found.append(f"{tag} {name}")
            if low.startswith("javascript:") or (name.startswith("hx-") and "js:" in low):
                self.found.append(f"{tag} {name}={value}")
            if name in {"src", "href", "action"} and re.match(r"(https?:)?//", low):
                self.found.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        if self._inside and data.strip():
            self.found.append(f"inline {self._inside}")


def inline(text: str) -> Inline:
    parser = Inline()
    parser.feed(text)
    return parser


@pytest.mark.parametrize(
    "path", sorted(HOUSE.glob("*/**/templates/**/*.html")), ids=lambda path: path.name
)
def test_no_template_has_anything_inline(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert inline(re.sub(r"\{[%{#].*?[%}#]\}", "", text)).found == []
    assert "|safe" not in text.replace("shapes[name]|safe", "")  # icons are drawn in the template
    assert "autoescape false" not in text


@pytest.mark.parametrize(
    "markup",
    [
        "<p style='x'>", "<p onclick=x>", "<p hx-on:click=x>", "<script>x</script>",
        "<style>x</style>", "<a href='javascript:x'>", "<p hx-vals='js:{}'>",
        "<script src='//cdn/x.js'></script>", "<img src=https://x/y.png>",
    ],
)  # fmt: skip
def test_what_is_inline_is_found(markup: str) -> None:
    assert len(inline(markup).found) == 1


@pytest.mark.parametrize("path", ["/", "/workers", "/nothing", "/refused", "/broken"])
def test_no_page_has_anything_inline_and_ids_are_unique(client: TestClient, path: str) -> None:
    found = inline(client.get(path).text)
    assert found.found == []
    assert sorted(found.ids) == sorted(set(found.ids))


def test_no_style_and_no_script_fetches_from_elsewhere() -> None:
    rooms = list(HOUSE.glob("[a-z]*/web/*/assets/*.js"))  # scripts that one room alone brings
    assert any("auditors" in path.parts for path in rooms)
    for path in [*CSS.iterdir(), *(CSS.parent / "js").iterdir(), *rooms]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://|@import|url\(|\beval\b|innerHTML", text), path.name


def variables(scheme: str) -> dict[str, str]:
    text = (CSS / "10-colours.css").read_text(encoding="utf-8")
    light, dim = text.split("@media")
    block = light if scheme == "light" else dim.split(':root[data-theme="dark"]')[1]
    found = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})\b", block))
    brand = Brand("x")._variables(LIGHT if scheme == "light" else DARK)
    return {**found, **dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{6})", brand))}


def test_both_ways_to_the_dark_are_the_same() -> None:
    dim = (CSS / "10-colours.css").read_text(encoding="utf-8").split("@media")[1]
    chosen, preferred = dim.split(':root[data-theme="dark"]')[::-1]
    assert re.findall(r"--[^;]+;", chosen) == re.findall(r"--[^;]+;", preferred)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_ink_is_readable_on_every_surface(scheme: str) -> None:
    colours = variables(scheme)
    surfaces = [colours[name] for name in ("page", "card", "sunk")]
    for name in ("ink", "soft", "brand", "accent"):
        for surface_ in surfaces:
            assert contrast(colours[name], surface_) >= TEXT_CONTRAST, name
    for tone in ("good", "busy", "wait", "warn", "bad", "off"):
        assert contrast(colours[tone], colours[f"{tone}-wash"]) >= TEXT_CONTRAST, tone
        assert contrast(colours["ink"], colours[f"{tone}-wash"]) >= TEXT_CONTRAST, tone
        assert contrast(colours["brand"], colours[f"{tone}-wash"]) >= TEXT_CONTRAST, tone
        assert contrast(colours[tone], colours["card"]) >= TEXT_CONTRAST, tone
    for mark in ("edge", "brand-mark", "series-1", "series-2", "series-3", "series-4"):
        assert contrast(colours[mark], colours["card"]) >= MARK_CONTRAST, mark
    for step in range(1, 6):
        ink = colours["on-deep" if step >= 4 else "on-pale"]
        assert contrast(ink, colours[f"step-{step}"]) >= TEXT_CONTRAST, step
    known = set(LIGHT if scheme == "light" else DARK)
    washes = {value for name, value in colours.items() if name.endswith("-wash")}
    assert known >= {*surfaces, *washes}  # what brand.py reckons with


@given(st.from_regex(r"#[0-9a-f]{6}", fullmatch=True))
def test_any_municipalitys_colour_becomes_readable(colour: str) -> None:
    for surfaces in (LIGHT, DARK):
        ink = readable(colour, surfaces, TEXT_CONTRAST)
        assert all(contrast(ink, one) >= TEXT_CONTRAST for one in surfaces)
        assert contrast(over(ink), ink) >= TEXT_CONTRAST


def test_contrast_is_wcags() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize(
    "brand",
    [
        Brand("x", primary="red"), Brand("x", accent="#12345g"), Brand("x", logo=b"GIF89a"),
        Brand("x", logo=b"<svg" + b" " * 20_000), Brand("x", primary="#fff;}body{"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused(brand: Brand) -> None:
    with pytest.raises(AssetRefused):
        brand.assets()


def test_a_logo_of_ones_own_is_served() -> None:
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    names = [asset.name for asset in Brand("x", logo=drawing).assets()]
    assert names == ["brand.css", "logo.svg"]


def test_the_package_brings_its_files() -> None:
    configured = (HOUSE / "setup.cfg").read_text()
    assert "web = assets/**/*, templates/**/*, locale/*.po" in configured
    assert resources("web").joinpath("assets", "vendor", "manifest.json").is_file()
