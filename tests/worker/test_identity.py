"""The state directory: written whole or not at all, private, and never mixed."""

from __future__ import annotations

from pathlib import Path

import pytest
from scene import Scene
from worker_territory import Territory

from capsule_runtime.capsules.card import read_card
from trust.certificates import to_pem
from trust.entropy import SYSTEM
from trust.errors import RootRefused
from trust.problem import Problem
from worker import identity
from worker.errors import AlreadyJoined, IdentityRefused, NotJoined


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, 1)


def test_what_was_established_is_loaded(scene: Scene) -> None:
    again = identity.load(scene.identity.state)
    assert again.worker == scene.identity.worker
    assert again.names == scene.identity.names
    assert again.root.digest == scene.territory.root.digest
    assert again.keys.hpke_public == scene.identity.keys.hpke_public


def test_private_files_are_private(scene: Scene) -> None:
    state = scene.identity.state
    assert state.stat().st_mode & 0o077 == 0
    for name in ("node.key", "hpke.key", "tls.key", "identity.json"):
        assert (state / name).stat().st_mode & 0o077 == 0, name


def test_the_card_is_for_owners(scene: Scene) -> None:
    card = read_card(scene.identity.state / "card.json")
    assert card.worker == scene.identity.worker
    assert card.hpke == scene.identity.keys.hpke_public
    assert (card.operator, card.site) == ("city", "town-hall")


def test_secrets_are_not_shown(scene: Scene) -> None:
    shown = repr(scene.identity)
    assert scene.identity.keys.node.seed.hex() not in shown
    assert "seed=" not in shown
    assert "hpke=" not in shown


def test_a_directory_is_joined_once(scene: Scene) -> None:
    with pytest.raises(AlreadyJoined):
        identity.require_fresh(scene.identity.state)
    with pytest.raises(AlreadyJoined):
        identity.establish(
            scene.identity.state,
            scene.identity.names,
            scene.identity.certificate,
            (scene.territory.raw_root,),
        )


def test_nothing_is_joined_yet(tmp_path: Path) -> None:
    with pytest.raises(NotJoined):
        identity.load(tmp_path)


def test_an_interrupted_join_keeps_its_keys(tmp_path: Path) -> None:
    first = identity.load_or_draw_keys(tmp_path / "s", SYSTEM)
    again = identity.load_or_draw_keys(tmp_path / "s", SYSTEM)
    assert first.worker == again.worker
    # Crashed before the last key: all of them are drawn afresh.
    (tmp_path / "s" / "tls.key").unlink()
    assert identity.load_or_draw_keys(tmp_path / "s", SYSTEM).worker != first.worker


def test_another_territorys_root_is_refused(scene: Scene) -> None:
    other = Territory()
    (scene.identity.state / "roots" / "1.json").write_bytes(other.raw_root)
    with pytest.raises(RootRefused):
        identity.load(scene.identity.state)


@pytest.mark.parametrize("name", ["identity.json", "certificate.pem", "hpke.key", "tls.key"])
def test_a_damaged_file_is_named(scene: Scene, name: str) -> None:
    (scene.identity.state / name).write_bytes(b"damaged")
    with pytest.raises(Problem) as caught:
        identity.load(scene.identity.state)
    assert name.partition(".")[0] in str(caught.value).replace("TLS key", "tls")


def test_a_certificate_for_another_key_is_refused(scene: Scene, tmp_path: Path) -> None:
    other = Scene(tmp_path / "other", 1)
    (scene.identity.state / "certificate.pem").write_bytes(to_pem(other.identity.certificate))
    with pytest.raises(IdentityRefused):
        identity.load(scene.identity.state)


def test_a_rotated_root_is_kept(scene: Scene) -> None:
    rotated = scene.identity.rotated(scene.territory.sign_root(version=2))
    assert rotated.root.document.version == 2
    assert identity.load(scene.identity.state).root.document.version == 2
