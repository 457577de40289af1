from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from capsule_runtime import cli
from capsule_runtime.capsules.errors import (
    CapsuleMissing,
    ConsentRefused,
    OwnerDirectoryRefused,
)
from capsule_runtime.capsules.mapping_file import read_mapping
from capsule_runtime.capsules.store import CapsuleStore
from capsule_runtime.consents import ConsentGate, ConsentStore, read_directory
from terminal.arguments import verbs_of
from trust.clock import SystemClock
from trust.ids import CapsuleId, Digest

BUNDLE = str(Digest.of(b"bundle"))
MAPPING = """
[capsule]
data_class = "personal"
one_per = "who"
[tables.t]
columns.n = { type = "integer", from = "n" }
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run one command with --json and give its exit code and document."""
    parser = argparse.ArgumentParser()
    nouns = parser.add_subparsers()
    cli.add_capsule(verbs_of(nouns.add_parser("capsule")))
    cli.add_consent(verbs_of(nouns.add_parser("consent")))

    def _run(*words: object) -> Any:
        args = parser.parse_args([str(word) for word in (*words, "--json")])
        code = args.run(args)
        return code, json.loads(capsys.readouterr().out)

    return _run


@pytest.fixture
def owners(world: Any, run: Any, write: Any, tmp_path: Path) -> Any:
    write("worker.card", world.raw_card.decode())
    code, made = run(
        "capsule", "seal", write("s.csv", "who,n\na,1\nb,2\nc,3\n"), "--mapping",
        write("m.toml", MAPPING), "--out", tmp_path / "mine", "--worker", tmp_path / "worker.card",
    )  # fmt: skip
    assert (code, made["capsules"], made["grants"]) == (0, 3, 3)
    return tmp_path / "mine"


def test_from_a_file_to_a_live_consent_and_back(
    world: Any, run: Any, owners: Any, state: Path
) -> None:
    assert run("capsule", "host", owners, "--state", state)[1]["hosted"] == 3
    assert run("capsule", "host", owners, "--state", state)[1]["unchanged"] == 3
    listed = run("capsule", "list", "--state", state)[1]
    assert [line["class"] for line in listed] == ["personal"] * 3
    first, second, _ = [CapsuleId.parse(line["capsule"]) for line in listed]

    code, said = run("consent", "grant", owners, "--bundle", BUNDLE, "--state", state)
    assert (code, said["capsules"], said["stored_here"]) == (0, 3, 3)
    assert len(read_directory(owners)) == 3
    key = owners / "keys" / f"{first}.key"
    assert run("consent", "revoke", key, "--bundle", BUNDLE, "--state", state)[0] == 0
    words = {line["capsule"]: line for line in run("consent", "list", owners)[1]}
    assert (words[first]["serial"], words[first]["decision"]) == (2, "revoke")
    assert (words[second]["serial"], words[second]["decision"]) == (1, "grant")

    capsules, consents = CapsuleStore(state, SystemClock()), ConsentStore(state)
    gate = ConsentGate(
        consents, capsules.owner, worker=world.card.worker, territory=world.card.territory
    )
    now = SystemClock().now()
    gate.live_consent(second, Digest.parse(BUNDLE), "", ["t"], now)
    with pytest.raises(Exception, match="withdrew"):
        gate.live_consent(first, Digest.parse(BUNDLE), "", ["t"], now)
    capsules.close()
    consents.close()

    run("capsule", "erase", second, "--state", state, "--directory", owners)
    assert len(run("capsule", "list", "--state", state)[1]) == 2
    assert second not in {line["capsule"] for line in run("consent", "list", owners)[1]}
    with pytest.raises(OwnerDirectoryRefused):
        run("capsule", "erase", second, "--directory", owners)
    with pytest.raises(CapsuleMissing):
        run("capsule", "erase", world.owner().capsule, "--state", state)
    with pytest.raises(OwnerDirectoryRefused, match="nothing to erase from"):
        run("capsule", "erase", first)


def test_some_capsules_of_a_directory(run: Any, owners: Any, write: Any) -> None:
    names = sorted(path.stem for path in (owners / "keys").iterdir())
    chosen = write("chosen.txt", "\n".join(names[:2]))
    said = run("consent", "grant", owners, "--purpose", "x", "--capsules", chosen)[1]
    assert (said["capsules"], said["target"], said["stored_here"]) == (2, "purpose:x", None)
    said = run("consent", "grant", owners, "--purpose", "x", "--capsule", names[2], "--table", "t")
    assert said[1]["capsules"] == 1
    with pytest.raises(ConsentRefused, match="no table 'u'"):
        run("consent", "grant", owners, "--purpose", "x", "--table", "u")
    with pytest.raises(ConsentRefused, match="twelve months"):
        run("consent", "grant", owners, "--purpose", "x", "--days", 400)
    with pytest.raises(OwnerDirectoryRefused, match="list of capsules"):
        run("consent", "grant", owners, "--purpose", "x", "--capsules", owners / "none")


def test_an_old_serial_is_reported_with_its_code(
    run: Any, owners: Any, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("capsule", "host", owners, "--state", state)
    run("consent", "grant", owners, "--bundle", BUNDLE, "--state", state, "--serial", 5)
    code, said = run("consent", "grant", owners, "--bundle", BUNDLE, "--state", state,
                     "--serial", 4)  # fmt: skip
    assert (code, said["stored_here"]) == (1, 0)


def test_a_renewed_grant_lasts_longer(run: Any, owners: Any, state: Path) -> None:
    run("capsule", "host", owners, "--state", state)
    before = run("capsule", "list", "--state", state)[1][0]["grant_until"]
    assert run("capsule", "grant", owners, "--grant-days", 20)[1]["grants"] == 3
    grant = next((owners / "grants").iterdir())
    assert run("capsule", "host", grant, "--state", state)[1]["grants"] == 1
    assert run("capsule", "host", owners, "--state", state)[1]["grants"] == 2
    assert run("capsule", "list", "--state", state)[1][0]["grant_until"] > before


def test_one_capsule_file_brings_its_grant(run: Any, owners: Any, state: Path) -> None:
    capsule = next((owners / "capsules").iterdir())
    said = run("capsule", "host", capsule, "--state", state)[1]
    assert (said["hosted"], said["grants"]) == (1, 1)


def test_an_empty_state_lists_nothing_and_makes_nothing(run: Any, state: Path) -> None:
    assert run("capsule", "list", "--state", state) == (0, [])
    assert not state.exists()


def test_the_mapping_that_help_shows_is_a_mapping(write: Any) -> None:
    # Found by hand: TOML 1.0 has no inline table over two lines, and the example had one.
    text = cli.MAPPING_EXAMPLE.split("\n", 1)[1]
    mapping = read_mapping(write("example.toml", text))
    assert [column.name for column in mapping.tables[0].columns] == ["mode", "km", "home"]


@pytest.mark.parametrize("noun", ["capsule", "consent"])
def test_every_verb_explains_itself(noun: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser(prog=f"cadastre {noun}")
    {"capsule": cli.add_capsule, "consent": cli.add_consent}[noun](verbs_of(parser))
    verbs = ["list", "grant", *(["seal", "host", "erase"] if noun == "capsule" else ["revoke"])]
    for verb in verbs:
        with pytest.raises(SystemExit) as done:
            parser.parse_args([verb, "--help"])
        assert done.value.code == 0
        assert f"cadastre {noun} {verb}" in capsys.readouterr().out.split("example:")[1]
