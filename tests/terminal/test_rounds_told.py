"""What `campaign watch` and its last table tell of rounds, from the messages that are streamed."""

from __future__ import annotations

from typing import Any

import pytest

from client.rounds import ROOM, epsilon_so_far, progress_of, size, table_of
from protos.cadastre.v1 import campaigns_pb2, states_pb2
from terminal.progress import COLUMNS, line

pytestmark = pytest.mark.base
OPEN, OPENED = states_pb2.ROUND_STATE_OPEN, states_pb2.ROUND_STATE_OPENED


def concluded(number: int, epsilon: float | None = None, **metrics: float) -> Any:
    return campaigns_pb2.RoundView(
        number=number,
        state=OPENED,
        capsules_done=240,
        capsules_total=240,
        participants=24,
        bytes=24 * 4096 + 200,
        metrics=metrics,
        epsilon=epsilon,
    )


def collecting(number: int) -> Any:
    """A round in which half of the capsules have answered."""
    return campaigns_pb2.RoundView(
        number=number, state=OPEN, capsules_done=120, capsules_total=240, participants=9, bytes=1
    )


def campaign(voted: int, *rounds: Any, epsilon: float = 0.0) -> Any:
    return campaigns_pb2.CampaignView(rounds_voted=voted, rounds=rounds, epsilon=epsilon)


def test_the_line_tells_participants_bytes_and_epsilon_of_the_newest_concluded_round() -> None:
    first = concluded(1, 1.9, loss=0.75, accuracy=0.65)
    second = concluded(2, 2.776, loss=0.6131, accuracy=0.7119)
    done, said = progress_of(campaign(6, first, second, collecting(3), epsilon=2.776))
    assert said == (
        "round 3/6, after 2: loss 0.613, accuracy 0.712, 24 workers, 96.2 KiB, epsilon 2.78"
    )
    assert done == pytest.approx(2.5 / 6)
    # Nothing of the round that collects is taken for the concluded one's.
    assert progress_of(campaign(6, first, second))[1].startswith("round 2/6: loss 0.613, ")


def test_each_round_keeps_its_own_epsilon_when_several_ended_between_two_looks() -> None:
    rounds = [concluded(number, float(number), loss=0.5) for number in (1, 2, 3)]
    view = campaign(6, *rounds, epsilon=3.0)
    head, rows = table_of(view)
    assert head == ["round", "loss", "workers", "KiB sent", "epsilon so far"]
    assert [row[-1] for row in rows] == ["1.00", "2.00", "3.00"]
    assert rows[0] == ["1", "0.5", "24", "96", "1.00"]
    assert epsilon_so_far(view) == 3.0


def test_where_nothing_is_noised_no_epsilon_is_told_and_least_of_all_nought() -> None:
    view = campaign(6, concluded(1, None, accuracy=0.81), collecting(2))
    said = progress_of(view)[1]
    assert said == "round 2/6, after 1: accuracy 0.81, 24 workers, 96.2 KiB"
    assert table_of(view)[1][0][-1] is None
    assert epsilon_so_far(view) is None
    assert epsilon_so_far(campaign(6, collecting(1))) == 0.0  # nothing was opened yet


def test_before_the_first_conclusion_there_is_only_progress() -> None:
    assert progress_of(campaign(6)) == (0.0, "capsules")
    assert progress_of(campaign(6, collecting(1))) == (pytest.approx(0.5 / 6), "round 1/6")
    assert progress_of(campaign(1, collecting(1))) == (0.5, "capsules")
    assert table_of(campaign(6, collecting(1)))[1] == []


def test_a_campaign_whose_rounds_tell_no_values_tells_who_took_part_all_the_same() -> None:
    view = campaign(3, concluded(1, 1.25), collecting(2))
    assert progress_of(view)[1] == "round 2/3, after 1: 24 workers, 96.2 KiB, epsilon 1.25"
    assert [row[0] for row in table_of(view)[1]] == ["1"]


def test_an_opened_round_that_is_not_concluded_yet_is_no_row() -> None:
    view = campaign(3, concluded(1, 1.25, loss=0.5), concluded(2, 1.9))
    assert [row[0] for row in table_of(view)[1]] == ["1"]
    assert "after 1: loss 0.5" in progress_of(view)[1]


@pytest.mark.parametrize("voted", [6, 40, 999])
def test_it_fits_one_line_and_never_drops_who_took_part_what_it_cost(voted: int) -> None:
    told = {f"a_rather_long_name_{n}": 123456.789 for n in range(6)} | {"loss": 0.6131234}
    view = campaign(voted, concluded(voted - 1, 12.345, **told), collecting(voted))
    done, said = progress_of(view)
    assert len(said) <= ROOM
    assert "24 workers, 96.2 KiB, epsilon 12.35" in said
    assert "loss 0.613" in said
    drawn = line(said, round(1000 * done), 1000)
    assert len(drawn) <= COLUMNS
    assert said in drawn, "the bar gives way, not the words"


def test_the_whole_of_the_usual_line_fits() -> None:
    usual = concluded(11, 3.121, loss=0.6131, accuracy=0.7119)
    said = progress_of(campaign(40, usual, collecting(12)))[1]
    assert said.endswith("loss 0.613, accuracy 0.712, 24 workers, 96.2 KiB, epsilon 3.12")
    assert len(line(said, 1000, 1000)) <= COLUMNS


def test_a_narrow_terminal_gets_a_shorter_line_and_a_wide_one_the_usual_bar() -> None:
    assert line("capsules", 500, 1000) == f"capsules [{'█' * 14}{'·' * 14}]  50 %"
    drawn = line("x" * 90, 1000, 1000, columns=60)
    assert len(drawn) == 60
    assert "…" in drawn
    assert drawn.endswith("] 100 %")


def test_what_a_scheduler_names_a_value_cannot_move_the_cursor() -> None:
    view = campaign(3, concluded(1, 1.0, **{"\x1b[2Kloss\n": 0.5}), collecting(2))
    drawn = line(progress_of(view)[1], 0, 1000)
    assert "\x1b" not in drawn
    assert "\n" not in drawn


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "0.977 KiB"), (98504, "96.2 KiB"),
     (1000 << 10, "0.977 MiB"), (10 << 20, "10 MiB"), (3 << 40, "3 TiB")],
)  # fmt: skip
def test_sizes_take_four_figures_at_most(count: int, said: str) -> None:
    assert size(count) == said
