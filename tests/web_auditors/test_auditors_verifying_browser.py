"""An auditor finds entries; the browser verifies a pasted proof by itself, as Python does, without
a request.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.browser import PHONE, Watch, axe, fits
from tests.web_auditors.proof_cases import KINDS, cases, verdict
from tests.web_auditors.served import serving
from tests.web_scheduler.territory import Grid
from trust.ids import Digest
from trust.keys import PrivateKey
from trust.log.note import LogKey

_JUDGE = """async ([core, kinds, cases]) => {
  const { verify, Refused } = await import(core);
  const told = [];
  for (const one of cases) {
    try {
      const found = await verify(one.proof, one.digest, one.policy, kinds);
      const { kind, index, origin, size, witnesses } = found;
      told.push(`${kind} ${index} ${origin} ${size} ${witnesses.join(",")}`);
    } catch (error) {
      told.push(error instanceof Refused ? "refused" : `threw ${error}`);
    }
  }
  return told;
}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    with serving(tmp_path_factory.mktemp("grid")) as grid:
        yield grid


def opened(browse: Watch, grid: Grid, **look: Any) -> Any:
    page = browse.open(f"{grid.origin}/log/verify", language="en", **look)
    page.wait_for_selector("form[data-ready]")
    return page


def handed(page: Any, grid: Grid) -> tuple[str, bytes]:
    """The proof and the document of an entry, as its page hands them out."""
    place = f"{grid.origin}/log/2"
    ask = page.context.request
    return ask.get(f"{place}/proof").text(), ask.get(f"{place}/document").body()


def test_javascript_and_python_agree_on_every_case(browse: Watch, served: Grid) -> None:
    page = opened(browse, served)
    core = page.get_attribute("form[data-verify]", "data-core")
    made = cases(2026, 600)
    told = page.evaluate(
        _JUDGE, [core, [kind.value for kind in KINDS], [dataclasses.asdict(one) for one in made]]
    )
    for case, said in zip(made, told, strict=True):
        assert said == verdict(case), case


def test_good_and_bad_proofs_on_the_page_and_no_request(
    browse: Watch, served: Grid, tmp_path: Path
) -> None:
    page = opened(browse, served, width=PHONE)
    proof, document = handed(page, served)
    policy = page.input_value("#verify-trust")
    foreign = LogKey("plaine.example/log", PrivateKey(bytes([7]) * 32).public)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def tried(**fields: str) -> tuple[bool, str]:
        for name, value in {"proof": proof, "trust": policy, **fields}.items():
            page.fill(f"#verify-{name}", value)
        page.click("form[data-verify] button")
        page.wait_for_selector("[data-part=result]:focus")
        told = page.inner_text("[data-part=result]")
        page.evaluate("document.activeElement.blur()")
        return page.is_visible("[data-part=good]"), told

    good, told = tried(document=document.decode())
    assert good, told
    assert "plaine.example/log" in told
    assert "witness.example/one" in told
    assert Digest.of(document) in told
    assert fits(page)
    good, told = tried(document=document.decode(), trust=served.world.root_envelope.decode())
    assert good, told
    assert Digest.of(served.world.root_envelope) in told
    for fields, said in (
        ({"proof": proof.replace("index 2", "index 3")}, "no proof of this document"),
        ({"document": "sha256:" + "0" * 64}, "no proof of this document"),
        ({"trust": f"log {foreign}\nquorum none"}, "signed by another log"),
        (
            {"proof": re.sub(r"(example/log\n)", r"\g<1>1", proof, count=1)},
            "signature does not hold",
        ),
        ({"trust": "<img src=x onerror=alert(1)>"}, "neither a log policy"),
        ({"proof": "nothing"}, "This is no proof"),
    ):
        good, told = tried(**{"document": document.decode(), **fields})
        assert not good, fields
        assert said in told, (fields, told)
    receipt = page.context.request.get(f"{served.origin}/log/2/receipt").text()
    good, told = tried(proof=receipt, document="")
    assert good, told
    assert Digest.of(document) in told
    good, told = tried(document="")
    assert not good
    assert "The document is missing" in told
    kept = tmp_path / "entry-2.json"
    kept.write_bytes(document)
    page.set_input_files("#verify-document-file", str(kept))
    page.wait_for_selector("#verify-document-file[data-read]")
    good, told = tried()
    assert good, told
    assert axe(page) == []
    good, told = tried(proof="nothing")
    assert not good
    assert axe(page) == []
    assert asked == []


def test_a_browser_without_ed25519_says_so_and_sends_the_form(browse: Watch, served: Grid) -> None:
    page = browse.open(f"{served.origin}/log", language="en")
    page.context.add_init_script(
        "const whole = SubtleCrypto.prototype.importKey;"
        "SubtleCrypto.prototype.importKey = function (form, raw, how, ...rest) {"
        "  if (how?.name === 'Ed25519') throw new DOMException('', 'NotSupportedError');"
        "  return whole.call(this, form, raw, how, ...rest); };"
    )
    page.goto(f"{served.origin}/log/verify")
    page.wait_for_selector("[data-part=unable]:not([hidden])")
    assert "cannot verify by itself" in page.inner_text("[data-part=unable]")
    assert page.is_hidden("[data-part=here]")
    _sent(page, served)


def test_without_scripts_the_server_verifies_and_says_so(browse: Watch, served: Grid) -> None:
    page = browse.open(f"{served.origin}/log/verify", language="en", scripts=False)
    assert "you trust its answer" in page.inner_text("[data-part=server]")
    assert page.is_hidden("#verify-proof-file")
    _sent(page, served)


def _sent(page: Any, grid: Grid) -> None:
    proof, document = handed(page, grid)
    page.fill("#verify-proof", proof)
    page.fill("#verify-document", document.decode())
    page.click("form[data-verify] button")
    page.wait_for_load_state()
    assert "It holds, says this server" in page.inner_text("main")


def test_an_auditor_finds_an_entry_and_proves_the_growth_without_scripts(
    browse: Watch, served: Grid
) -> None:
    page = browse.open(f"{served.origin}/log", language="en", scripts=False)
    page.fill("#log-search", served.moving[:15])
    page.click("form[action='/log/search'] button")
    assert f"campaign={served.moving}" in page.url
    page.click("tbody tr:last-child th a")
    assert "Under which vote" in page.inner_text("main")
    page.goto(f"{served.origin}/log/checkpoints")
    page.click("form[action='/log/consistency'] button")
    assert "The key of the log signed both checkpoints." in page.inner_text("main")
    with page.expect_download() as waiting:
        page.click("main a.button[download]")
    assert waiting.value.suggested_filename.startswith("continuation-")
