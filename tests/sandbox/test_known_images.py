"""An image is hashed again exactly when a file of it was touched."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from capsule_runtime.sandbox import known_images
from capsule_runtime.sandbox.image import RuntimeImage
from capsule_runtime.sandbox.known_images import KnownImages
from capsule_runtime.sandbox.layout import Bind, Layout, find_layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.py").write_text("1")
    found = find_layout(("numpy",))
    return replace(found, stdlib=(), libraries=(), inside=Bind(inside, PurePosixPath("/inside")))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry per image that was really hashed."""
    seen: list[str] = []
    real = RuntimeImage.of

    def counted(layout: Layout, memory: dict[Path, str] | None = None) -> RuntimeImage:
        image = real(layout, memory)
        seen.append(image.digest)
        return image

    monkeypatch.setattr(known_images.RuntimeImage, "of", counted)
    return seen


def test_an_untouched_image_is_hashed_once(
    tmp_path: Path, layout: Layout, hashed: list[str]
) -> None:
    expected = RuntimeImage.of(layout).digest
    hashed.clear()
    assert [KnownImages(tmp_path).digest(layout) for _ in range(3)] == [expected] * 3
    assert hashed == [expected]


def test_a_change_that_keeps_size_and_time_is_seen(
    tmp_path: Path, layout: Layout, hashed: list[str]
) -> None:
    file = layout.inside.source / "a.py"
    before = file.stat()
    first = KnownImages(tmp_path).digest(layout)
    file.write_text("2")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    second = KnownImages(tmp_path).digest(layout)
    assert second != first
    replacement = layout.inside.source / "b.py"
    replacement.write_text("1")
    replacement.rename(file)
    assert KnownImages(tmp_path).digest(layout) == first
    assert len(hashed) == 3


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"numpy":1}', b'{"numpy":["x","sha256:0"]}', b"\xff"]
)
def test_a_damaged_record_is_no_record(tmp_path: Path, layout: Layout, content: bytes) -> None:
    (tmp_path / known_images.NAME).write_bytes(content)
    assert KnownImages(tmp_path).digest(layout) == RuntimeImage.of(layout).digest
    assert set(json.loads((tmp_path / known_images.NAME).read_bytes())) == {"numpy"}


def test_a_record_that_cannot_be_written_stops_nobody(tmp_path: Path, layout: Layout) -> None:
    gone = tmp_path / "not there"
    assert KnownImages(gone).digest(layout) == RuntimeImage.of(layout).digest
