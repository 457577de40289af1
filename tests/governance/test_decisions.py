"""Authorisations and suspensions on files: drafted from the bundle, signed by k of n."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.drafts import Draft
from governance.errors import DraftRefused
from jobs import archive
from tests.governance import territory
from trust import root
from trust.documents.governance import Authorisation, Suspension
from trust.documents.root import Duty
from trust.errors import Malformed, SignatureInvalid
from trust.ids import Digest
from trust.keys import PrivateKey

IMAGE = str(Digest.of(b"image"))
EXAMPLE = Path(archive.__file__).parent / "bundles" / "example"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("territory")
    territory.set_up(made)
    (made / "example.cadastre").write_bytes(archive.pack_folder(EXAMPLE).raw)
    return made


def draft(folder: Path, out: str, *more: str) -> int:
    return territory.run(
        "authorisation", "draft", folder / "example.cadastre", "--territory", territory.NAME,
        "--image", IMAGE, "--campaigns", "2", "--days", "30", "--out", folder / out, *more,
    )  # fmt: skip


def trusted(folder: Path) -> root.TrustedRoot:
    raw = (folder / "root.json").read_bytes()
    return root.trust_pinned(raw, Digest.of(raw))


def test_what_is_voted_is_what_the_bundle_says(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert draft(folder, "a.json") == 0
    shown = capsys.readouterr().out
    for words in ("mobility planning", "mode, distance", "bits per owner", "epsilon", "rho 0.1"):
        assert words in shown
    for name in "xy":
        assert (
            territory.run("authorisation", "sign", folder / "a.json", "--key", folder / name) == 0
        )
    raw = (folder / "a.json").read_bytes()
    vote = trusted(folder).verify(Authorisation, raw, Duty.COLLEGE).document
    bundle = archive.read((folder / "example.cadastre").read_bytes())
    assert (vote.bundle, vote.manifest) == (bundle.digest, bundle.manifest_digest)
    assert vote.rules == bundle.manifest.rules()
    assert vote.bounds == bundle.manifest.bounds()
    assert vote.images == (Digest.of(b"image"),)
    assert (vote.campaigns, vote.rho_budget) == (2, "0.2")


def test_a_minority_or_one_member_twice_is_refused(folder: Path) -> None:
    assert draft(folder, "minority.json") == 0
    path = folder / "minority.json"
    assert territory.run("authorisation", "sign", path, "--key", folder / "x") == 0
    assert territory.run("authorisation", "sign", path, "--key", folder / "x") == 1
    assert territory.run("authorisation", "sign", path, "--key", folder / "a") == 0  # a root key
    with pytest.raises(SignatureInvalid, match="1 of the 2"):
        trusted(folder).verify(Authorisation, path.read_bytes(), Duty.COLLEGE)


def test_show_counts_the_college_only(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert draft(folder, "shown.json") == 0
    for name in "xa":
        territory.run("authorisation", "sign", folder / "shown.json", "--key", folder / name)
    capsys.readouterr()
    show = ("authorisation", "show", folder / "shown.json", "--root", folder / "root.json")
    assert territory.run(*show, "--json") == 0
    assert json.loads(capsys.readouterr().out)["still needed"] == 1


@pytest.mark.parametrize(
    "more",
    [
        ("--campaigns", "0"),
        ("--days", "0"),
        ("--rho-budget", "0.1"),  # two campaigns cost 0.2
        ("--rho-budget", "NaN"),
        ("--image", "sha256:no"),
    ],
)
def test_a_vote_that_makes_no_sense_is_never_drafted(folder: Path, more: tuple[str, str]) -> None:
    assert draft(folder, "senseless.json", *more) == 1
    assert not (folder / "senseless.json").exists()


def test_an_altered_bundle_is_never_drafted(folder: Path) -> None:
    raw = bytearray((folder / "example.cadastre").read_bytes())
    raw[300] ^= 1
    (folder / "altered.cadastre").write_bytes(raw)
    code = territory.run(
        "authorisation", "draft", folder / "altered.cadastre", "--territory", territory.NAME,
        "--image", IMAGE, "--out", folder / "altered.json",
    )  # fmt: skip
    assert code == 1
    assert not (folder / "altered.json").exists()


def test_a_suspension_names_the_authorisation_and_why(folder: Path) -> None:
    assert draft(folder, "tostop.json") == 0
    out = folder / "stop.json"
    words = ("authorisation", "suspend", folder / "tostop.json", "--reason", "wrong clip")
    assert territory.run(*words, "--out", out) == 0
    for name in "yz":
        assert territory.run("authorisation", "sign", out, "--key", folder / name) == 0
    stop = trusted(folder).verify(Suspension, out.read_bytes(), Duty.COLLEGE).document
    vote = Draft.parse((folder / "tostop.json").read_bytes()).document(Authorisation)
    assert (stop.authorisation, stop.territory) == (vote.id, territory.NAME)
    bare = ("authorisation", "suspend", vote.id, "--reason", "x", "--out", folder / "bare.json")
    assert territory.run(*bare) == 1
    assert territory.run(*bare, "--territory", territory.NAME) == 0
    empty = ("authorisation", "suspend", vote.id, "--reason", " ", "--out", folder / "e.json")
    assert territory.run(*empty, "--territory", territory.NAME) == 1


@given(st.binary(max_size=200))
def test_bytes_that_are_no_draft_are_refused(raw: bytes) -> None:
    with pytest.raises((DraftRefused, Malformed)):
        Draft.parse(raw)


@given(st.sets(st.integers(0, 4), min_size=1))
def test_signatures_collect_in_any_order(chosen: set[int]) -> None:
    keys = [PrivateKey(bytes([number]) * 32) for number in range(1, 6)]
    first = Draft("text/plain", b"vote", None)
    collected = Draft.parse(first.emit())
    for number in chosen:
        collected = Draft.parse(collected.sign(keys[number]).emit())
    assert collected.signers([key.public for key in keys]) == {
        keys[number].public for number in chosen
    }
    with pytest.raises(DraftRefused):
        collected.sign(keys[min(chosen)])
