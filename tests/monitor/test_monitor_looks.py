"""A monitor over a real site: growth followed, forks, gaps, silence and clocks alarmed about."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from audit.errors import MonitorStateRefused
from audit.monitor import memory as memories
from audit.monitor.alarms import AlarmKind
from audit.monitor.memory import Memory
from audit.monitor.running import alone
from tests.monitor.scene import Scene, entry
from trust.ids import Digest
from trust.log.checkpoint import Checkpoint
from trust.log.note import Note


def known(scene: Scene) -> Memory:
    return memories.load(scene.settings.state, scene.settings.pin)


def size_of(note: str) -> int:
    return Checkpoint.parse(Note.parse(note.encode()).text).size


def test_a_log_that_grows_is_followed_across_tiles_and_restarts(scene: Scene) -> None:
    assert scene.look().size == 0
    for first, last in [(0, 1), (1, 3), (3, 256), (256, 257), (257, 700), (700, 700), (700, 1024)]:
        scene.log(*range(first, last))
        report = scene.look(export=scene.folder / "head.txt")
        assert report.ok, report.alarms
        assert report.size == last
        assert size_of((scene.folder / "head.txt").read_text()) == last
        tree = scene.world.desk.log.checkpoint()
        assert report.root == Checkpoint.parse(Note.parse(tree).text).root.hex()
    assert not scene.settings.evidence.exists()


def test_a_second_log_of_the_same_size_is_a_split_view_and_stays_one(scene: Scene) -> None:
    scene.log(1, 2, 3)
    assert scene.look().ok
    scene.site.log = scene.fork(1, 2, 4)
    alarm_file = scene.folder / "alarm.json"
    (alarm,) = scene.look(alarm_file=alarm_file).alarms
    assert alarm.kind is AlarmKind.SPLIT_VIEW
    assert "two heads of 3 entries" in alarm.sentence
    notes = [Path(name).read_bytes() for name in alarm.names]
    roots = {Checkpoint.parse(Note.parse(note).text).root for note in notes}
    assert len(roots) == 2
    told = json.loads(alarm_file.read_text())
    assert told["alarms"][0]["kind"] == "split-view"
    assert told["alarms"][0]["evidence"] == list(alarm.names)
    scene.site.log = None  # back to the first face, as if nothing had been
    assert scene.kinds(alarm_file=alarm_file) == [AlarmKind.SPLIT_VIEW]
    assert alarm_file.exists()
    scene.log(5)
    assert scene.kinds() == [AlarmKind.SPLIT_VIEW]
    assert size_of(known(scene).note) == 4  # it follows on what it had


@pytest.mark.parametrize("more", [(8, 9), (*range(8, 300),)])
def test_a_longer_log_with_another_past_is_a_split_view(
    scene: Scene, more: tuple[int, ...]
) -> None:
    scene.log(1, 2, 3)
    assert scene.look().ok
    scene.site.log = scene.fork(1, 7, 3, *more)
    (alarm,) = scene.look().alarms
    assert alarm.kind is AlarmKind.SPLIT_VIEW
    assert "does not continue one of 3" in alarm.sentence
    assert sorted(size_of(Path(name).read_text()) for name in alarm.names) == [3, 3 + len(more)]
    assert size_of(known(scene).note) == 3


def test_a_shorter_log_with_another_past_is_a_split_view_too(scene: Scene) -> None:
    scene.log(1, 2, 3)
    assert scene.look().ok
    shorter = scene.fork(1, 9)
    tiles = scene.world.desk.log
    scene.site.bend = lambda path, data: shorter.checkpoint() if path == "checkpoint" else data
    assert tiles.fetch("checkpoint") != shorter.checkpoint()
    assert scene.kinds() == [AlarmKind.SPLIT_VIEW]


def test_an_older_head_of_the_same_log_withholds_a_range(scene: Scene) -> None:
    scene.log(1, 2)
    older = scene.world.desk.log.checkpoint()
    scene.log(3)
    assert scene.look().ok
    scene.site.bend = lambda path, data: older if path == "checkpoint" else data
    (alarm,) = scene.look().alarms
    assert alarm.kind is AlarmKind.MISSING_RANGE
    assert "entries 2 to 2 are withheld" in alarm.sentence
    scene.site.bend = None
    assert scene.look().ok


@pytest.mark.parametrize("how", ["withheld", "altered", "cut", "swapped"])
def test_entries_that_cannot_be_had_or_do_not_hash_are_a_missing_range(
    scene: Scene, how: str
) -> None:
    scene.log(1, 2)
    assert scene.look().ok
    scene.log(*range(3, 400))

    def bend(path: str, data: bytes) -> bytes | None:
        if not path.startswith("tile/entries/"):
            return data
        match how:
            case "withheld":
                return None
            case "altered":
                return data[:-5] + b"0000\n"
            case "cut":
                return data[:-1]
        return data.replace(entry(5), entry(6), 1)

    scene.site.bend = bend
    report = scene.look()
    assert [alarm.kind for alarm in report.alarms] == [AlarmKind.MISSING_RANGE]
    assert "entries 2 to 398" in report.alarms[0].sentence
    assert report.size == 2
    scene.site.bend = None
    assert scene.look().size == 399  # what was withheld came: followed from where it stayed


def test_tiles_that_lie_prove_no_split(scene: Scene) -> None:
    scene.log(1, 2, 3)
    assert scene.look().ok
    scene.log(4, 5)
    scene.site.bend = lambda path, data: data if path == "checkpoint" else b"\0" * len(data)
    assert AlarmKind.SPLIT_VIEW not in scene.kinds()
    assert known(scene).splits == []


def test_a_head_without_the_logs_signature_is_forged(scene: Scene) -> None:
    scene.log(1)
    assert scene.look().ok
    scene.site.bend = lambda path, data: data.replace(b"\n1\n", b"\n2\n", 1)
    assert scene.kinds() == [AlarmKind.FORGED_HEAD]
    scene.site.bend = lambda path, data: b"<html>" if path == "checkpoint" else data
    assert scene.kinds() == [AlarmKind.FORGED_HEAD]


def test_heads_that_others_were_shown_are_held_against_ours(scene: Scene) -> None:
    other = scene.folder / "other.txt"
    missing = str(scene.folder / "none.txt")
    scene.log(1, 2, 3)
    other.write_bytes(scene.world.desk.log.checkpoint())
    scene.log(*range(4, 300))
    report = scene.look(compare=[str(other), missing])
    assert report.ok, report.alarms
    assert any("none.txt" in note for note in report.notes)
    other.write_bytes(scene.fork(1, 2, 99).checkpoint())
    (alarm,) = scene.look(compare=[str(other)]).alarms
    assert alarm.kind is AlarmKind.SPLIT_VIEW
    other.write_bytes(b"no checkpoint")
    report = scene.look(compare=[str(other)])
    assert [one.kind for one in report.alarms] == [AlarmKind.SPLIT_VIEW]  # for ever
    assert any("not one of this log" in note for note in report.notes)


def test_a_head_that_is_ahead_is_compared_once_the_log_gets_there(scene: Scene) -> None:
    other = scene.folder / "other.txt"
    scene.log(1, 2)
    other.write_bytes(scene.fork(1, 2, 50).checkpoint())
    report = scene.look(compare=[str(other)])
    assert report.ok
    assert any("shown 3 entries already" in note for note in report.notes)
    scene.log(3, 4)
    (alarm,) = scene.look().alarms
    assert alarm.kind is AlarmKind.SPLIT_VIEW


def test_a_head_that_the_site_never_reaches_is_a_missing_range(scene: Scene) -> None:
    other = scene.folder / "other.txt"
    scene.log(1, 2)
    older = scene.world.desk.log.checkpoint()
    scene.log(3)
    other.write_bytes(scene.world.desk.log.checkpoint())
    scene.site.bend = lambda path, data: older if path == "checkpoint" else data
    assert scene.look(compare=[str(other)]).ok
    scene.world.clock.advance(25 * 3600)
    kinds = scene.kinds()
    assert AlarmKind.MISSING_RANGE in kinds


def test_a_silent_witness_is_named(scene: Scene) -> None:
    scene.log(1)
    assert scene.look().ok
    scene.world.witness.asleep = True
    scene.world.clock.advance(23 * 3600)
    scene.log(2)
    assert scene.look().ok
    scene.world.clock.advance(2 * 3600)
    (alarm,) = scene.look().alarms
    assert alarm.kind is AlarmKind.STALE_WITNESS
    assert "witness.example/one has given no new cosignature since 2026-11-22T12:00" in (
        alarm.sentence
    )
    assert scene.look(bounds=type(scene.settings.bounds)(stale=timedelta(days=3))).ok
    scene.world.witness.asleep = False
    scene.log(3)
    assert scene.look().ok
    scene.world.clock.advance(25 * 3600)
    (alarm,) = scene.look().alarms
    assert "the log stands still or is withheld" in alarm.sentence


def test_a_witness_that_never_cosigned_is_named_too(scene: Scene) -> None:
    scene.world.witness.asleep = True
    scene.log(1)
    assert scene.look().ok
    scene.world.clock.advance(25 * 3600)
    (alarm,) = scene.look().alarms
    assert "has cosigned nothing since" in alarm.sentence


def test_clocks_that_step_back_or_run_ahead(scene: Scene) -> None:
    scene.log(1)
    assert scene.look().ok
    scene.world.clock.advance(-3600)
    kinds = [alarm.kind for alarm in scene.look().alarms]
    assert set(kinds) == {AlarmKind.CLOCK}  # ours went back, and so the witness is ahead of it
    assert len(kinds) == 2
    scene.world.clock.advance(3600)
    assert scene.look().ok


def test_a_site_that_is_gone_is_unreachable_and_silence_still_counts(scene: Scene) -> None:
    scene.log(1)
    assert scene.look().ok
    scene.world.clock.advance(25 * 3600)
    kinds = scene.kinds(url="http://127.0.0.1:9")
    assert set(kinds) == {AlarmKind.UNREACHABLE, AlarmKind.STALE_WITNESS}
    assert known(scene).note


def test_another_territorys_root_is_an_alarm(scene: Scene) -> None:
    assert scene.kinds(pin=Digest.of(b"another"), state=scene.folder / "s") == [AlarmKind.ROOT]


def test_a_state_is_whole_or_refused(scene: Scene) -> None:
    scene.log(1, 2, 3)
    assert scene.look().ok
    path = scene.settings.state
    whole = path.read_bytes()
    with pytest.raises(MonitorStateRefused, match="pins"):
        scene.look(pin=Digest.of(b"another"))
    for damaged in (
        b"",
        b"{}",
        whole[:-20],
        whole.replace(b"cadastre-monitor-v1", b"cadastre-monitor-v9"),
        whole.replace(b'"frontier": [\n  "', b'"frontier": [\n  "0'),
        json.dumps({**json.loads(whole), "frontier": ["00" * 32, "11" * 32]}).encode(),
        json.dumps({**json.loads(whole), "witnesses": 3}).encode(),
    ):
        path.write_bytes(damaged)
        with pytest.raises(MonitorStateRefused):
            scene.look()
        assert path.read_bytes() == damaged  # nothing is thrown away
    path.write_bytes(whole)
    with (
        alone(path),
        pytest.raises(MonitorStateRefused, match="another monitor"),
        alone(path),
    ):
        pass
    assert scene.look().ok


def test_a_look_that_dies_before_it_is_stored_is_made_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.log(1, 2, 3)
    assert scene.look().ok
    before = scene.settings.state.read_bytes()
    scene.site.log = scene.fork(1, 2, 4)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(memories, "save", die)
        with pytest.raises(KeyboardInterrupt):
            scene.look()
    assert scene.settings.state.read_bytes() == before
    kept = sorted(scene.settings.evidence.iterdir())
    assert len(kept) == 2
    assert scene.kinds() == [AlarmKind.SPLIT_VIEW]
    assert sorted(scene.settings.evidence.iterdir()) == kept
