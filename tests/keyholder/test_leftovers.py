"""What an opening leaves in the keyholder's memory."""

from __future__ import annotations

from typing import Any

import pytest
from custody_world import Story, World

from governance.keyholder import opening
from governance.keyholder.errors import SharesAwaited


def test_the_exact_sum_is_overwritten_before_the_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dump of the process after an opening gave the total without its noise."""
    story = Story(world, world.keyholder())
    story.keyholder.prepare(story.preparation())
    request = story.opening()
    with pytest.raises(SharesAwaited):
        story.keyholder.open(request)
    story.contribute([0, 1, 2])
    seen: dict[str, Any] = {}
    unpack, draw = opening.packing.unpack, opening.draw_noise

    def unpacked(*args: Any, **counts: Any) -> Any:
        seen["raw"], seen["steps"] = args[2], unpack(*args, **counts)
        return seen["steps"]

    def drawn(*args: Any) -> Any:
        seen["noise"] = draw(*args)
        return seen["noise"]

    monkeypatch.setattr(opening.packing, "unpack", unpacked)
    monkeypatch.setattr(opening, "draw_noise", drawn)
    _, released = story.values(story.keyholder.open(request))
    assert not seen["raw"].real.any()
    assert not seen["raw"].imaginary.any()
    for output, steps in released.items():
        assert (seen["steps"][output] == steps).all()
        assert not seen["noise"][output].any()
