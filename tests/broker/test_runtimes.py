"""One warm sandbox at a time, chosen by a bundle's libraries, and the images that are claimed."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from capsule_runtime.broker import runtimes
from capsule_runtime.broker.messages import Ready, decode, encode
from capsule_runtime.broker.runtimes import WarmRuntime, find_layouts, measure
from capsule_runtime.errors import RuntimeUnreadable, SandboxStartFailed, SandboxUnavailable
from capsule_runtime.sandbox.image import RuntimeImage
from capsule_runtime.sandbox.layout import Bind
from capsule_runtime.sandbox.libraries import complete
from jobs.libraries import RUNTIMES, contents, runtime_of
from trust.ids import Digest
from worker.broker_program import offered_libraries

LIBRARIES = contents("torch_geometric")


@dataclass
class Counted:
    """A sandbox that only counts."""

    name: str
    closed: int = 0

    def close(self) -> None:
        self.closed += 1


class Starter:
    def __init__(self, failing: str = "") -> None:
        self.started: list[Counted] = []
        self.failing = failing

    def __call__(self, name: str) -> Any:
        if name == self.failing:
            raise SandboxStartFailed("no memory", remedy="free some")
        self.started.append(Counted(name))
        return self.started[-1]


def test_a_bundle_gets_the_smallest_runtime_that_holds_its_libraries() -> None:
    assert runtime_of(()) == runtime_of(("numpy",)) == "numpy"
    assert runtime_of(("torch", "numpy")) == "torch"
    assert runtime_of(LIBRARIES) == "torch_geometric"
    assert contents("torch") == ("numpy", "torch")
    assert runtime_of(("flwr", "numpy")) == "flwr"
    assert runtime_of(("flwr", "numpy", "torch")) == "flwr_torch"
    assert runtime_of(("flwr", "torch_geometric")) == ""
    assert all(runtime_of(held) == name for name, held in RUNTIMES.items())
    assert runtime_of(("numpy", "tenseal")) == "numpy"


def test_one_sandbox_is_warm_and_another_runtime_replaces_it() -> None:
    start = Starter()
    warm = WarmRuntime(start)
    assert not warm.warm
    first = warm.zygote(("numpy",))
    assert warm.zygote(()) is first
    second = warm.zygote(("numpy", "torch"))
    assert [one.closed for one in start.started] == [1, 0]
    assert warm.zygote(("numpy", "torch")) is second
    warm.cool_down()
    warm.cool_down()
    assert not warm.warm
    assert [(one.name, one.closed) for one in start.started] == [("numpy", 1), ("torch", 1)]


def test_a_runtime_that_does_not_start_leaves_the_others_usable() -> None:
    start = Starter(failing="torch")
    warm = WarmRuntime(start)
    warm.zygote(("numpy",))
    with pytest.raises(SandboxStartFailed):
        warm.zygote(("numpy", "torch"))
    assert not warm.warm
    warm.zygote(("numpy",))
    assert [one.name for one in start.started] == ["numpy", "numpy"]


def test_without_a_sandbox_nothing_is_started() -> None:
    with pytest.raises(SandboxUnavailable):
        WarmRuntime(None).zygote(("numpy",))


def test_a_library_without_its_parts_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "complete", lambda name: False)
    assert list(find_layouts(LIBRARIES)) == ["numpy"]
    assert list(find_layouts(())) == ["numpy"]


@pytest.mark.skipif(not complete("torch"), reason="the extra `learning` is not installed")
def test_each_runtime_has_an_image_of_its_own(tmp_path: Path) -> None:
    layouts = find_layouts(("numpy", "torch"))
    images = measure(layouts, tmp_path)
    assert list(images) == ["numpy", "torch"]
    assert images["numpy"] == RuntimeImage.of(layouts["numpy"]).digest != images["torch"]
    assert measure(layouts, tmp_path) == images
    assert offered_libraries()[:2] == ("numpy", "torch")


class _Pool:
    """As a TenSEAL context: its end waits for threads, which a forked child has not."""

    def __init__(self, ends: Path) -> None:
        self.ends, self.itself = ends, self

    def __del__(self) -> None:
        with self.ends.open("a") as stream:
            stream.write(f"{os.getpid()}\n")


def test_the_child_that_measures_ends_nothing_of_its_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A garbage context that the child collected waited for its threads for ever."""

    def collecting(*_: object) -> dict[str, str]:
        gc.collect()
        return {}

    ends = tmp_path / "ends"
    monkeypatch.setattr(runtimes, "_measured", collecting)
    gc.disable()
    try:
        _Pool(ends)  # garbage in a cycle, not collected yet
        measure({}, tmp_path)
    finally:
        gc.enable()
    gc.collect()
    assert ends.read_text().split() == [str(os.getpid())]


def test_files_that_cannot_be_read_are_an_error_in_words(tmp_path: Path) -> None:
    layouts = find_layouts(())
    gone = replace(layouts["numpy"], executable=Bind(tmp_path / "gone", PurePosixPath("/gone")))
    with pytest.raises(RuntimeUnreadable, match="could not be read"):
        measure({"numpy": gone}, tmp_path)


def test_what_is_claimed_is_the_image_of_the_bundles_runtime() -> None:
    base, torch = Digest.of(b"base"), Digest.of(b"torch")
    ready = Ready("L3", (), base, LIBRARIES, 0, 0, bytes(32), {"torch": torch})
    assert decode(encode(ready)) == ready
    assert ready.image_for(("numpy",)) == base
    assert ready.image_for(("numpy", "torch")) == torch
    assert ready.image_for(LIBRARIES) == Digest.of(b"")  # never voted
