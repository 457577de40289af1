"""Sentences in both languages: complete catalogues, numbers and times by the language's customs."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from starlette.requests import Request

from tests.web.sample.surface import PARIS, START
from web import catalogues, extraction, languages
from web.errors import CatalogueRefused
from web.languages import Language
from web.sentences import Sentence, plural, say
from web.speech import Speech

ROOMS = ("web", "tests.web.sample")
WORDS = catalogues.load(ROOMS)


def speech(language: Language = Language.FR) -> Speech:
    return Speech(language, WORDS, START, PARIS)


@pytest.mark.parametrize("room", ROOMS)
def test_every_message_is_in_both_catalogues(room: str) -> None:
    assert extraction.complaints(room) == []
    assert len(extraction.messages(room)) > 20


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A room with one message in code, one in a template and one with two forms."""
    home = tmp_path / "planted_room"
    (home / "templates").mkdir(parents=True)
    (home / "__init__.py").write_text("")
    (home / "words.py").write_text(
        "from web.sentences import plural, say\n"
        'A = say("{count} units wait", count=3)\n'
        'B = plural("{number} unit", "{number} units", 2)\n'
    )
    (home / "templates" / "a.html").write_text('{{ _("Hello {name}", name=1) }}')
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("planted_room", "other_room"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    extraction.update("planted_room")
    french = home / "locale" / "fr.po"
    text = french.read_text()
    for message in ("{count} units wait", "Hello {name}"):
        text = text.replace(
            f'msgid "{message}"\nmsgstr ""', f'msgid "{message}"\nmsgstr "{message}"'
        )
    text = text.replace('msgstr[0] ""', 'msgstr[0] "{number} unité"')
    french.write_text(text.replace('msgstr[1] ""', 'msgstr[1] "{number} unités"'))
    assert extraction.complaints("planted_room") == []
    return "planted_room"


def planted(room: str) -> Path:
    return Path(str(catalogues.source(room, Language.FR)))


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('msgstr "{count} units wait"', 'msgstr ""', "is not translated"),
        ('msgstr "{count} units wait"', 'msgstr "{total} unités"', "has other placeholders"),
        ('msgstr "{count} units wait"', 'msgstr "attente"', "has other placeholders"),
        ('msgid "{count} units wait"', '#, fuzzy\nmsgid "{count} units wait"', "doubtful"),
        ('msgid "{count} units wait"', 'msgid "{count} units"', "is said nowhere"),
        ('msgid "{count} units wait"', 'msgid "other"', "is missing"),
        ('msgstr[1] "{number} unités"', 'msgstr[1] ""', "is not translated"),
        ('msgstr "Hello {name}"', 'msgstr "Hello {name} "', "other spaces"),
        ("msgstr", '#~ msgid "old"\n#~ msgstr "vieux"\n\nmsgstr', "obsolete"),
    ],
)
def test_a_fault_in_a_catalogue_is_found(
    room: str, before: str, after: str, complaint: str
) -> None:
    place = planted(room)
    text = place.read_text()
    if complaint == "obsolete":
        place.write_text(text + '\n#~ msgid "old"\n#~ msgstr "vieux"\n')
    else:
        assert before in text
        place.write_text(text.replace(before, after))
    assert any(complaint in line for line in extraction.complaints(room))


def test_a_message_that_is_no_literal_is_found(room: str) -> None:
    home = planted(room).parent.parent
    (home / "more.py").write_text("from web.sentences import say\nX = 'a'\nC = say(X)\n")
    assert any("no literal" in line for line in extraction.complaints(room))


def test_rooms_may_not_contradict_each_other(room: str) -> None:
    home = planted(room).parent.parent
    other = home.parent / "other_room"
    shutil.copytree(home, other)
    french = other / "locale" / "fr.po"
    french.write_text(french.read_text().replace('msgstr "Hello {name}"', 'msgstr "Salut {name}"'))
    with pytest.raises(CatalogueRefused, match="its own way"):
        catalogues.load([room, "other_room"])
    (other / "locale" / "en.po").unlink()
    with pytest.raises(CatalogueRefused, match="cannot be read"):
        catalogues.load(["other_room"])


def test_numbers_and_shares_follow_the_language() -> None:
    assert speech().number(1234567.891) == "1\u202f234\u202f567,891"
    assert speech(Language.EN).number(1234567.891) == "1,234,567.891"
    assert speech().percent(0.425, 1) == "42,5\u202f%"
    assert speech(Language.EN).percent(0.425) == "42%"
    assert speech().size(5_321_004) == "5,1\u00a0Mio"
    assert speech(Language.EN).size(999) == "999\u00a0B"


def test_what_is_very_large_is_told_by_its_power_of_ten() -> None:
    assert speech().number(-1.5e300) == "-1,5E300"
    assert speech(Language.EN).number(1.5e25, 2) == "1.5E25"
    assert speech().number(10**4000) == "1E4000"
    assert speech().exact("1e1000") == "1E1000"
    assert speech(Language.EN).exact("1" + "0" * 30) == ",".join(["1"] + ["000"] * 10)
    assert speech(Language.EN).exact("123456789012345678901234.56789") == (
        "123,456,789,012,345,678,901,234.56789"
    )
    assert speech().number(10.0**20) == "\u202f".join(["100"] + ["000"] * 6)
    told = [speech().number(one) for one in (float("inf"), float("nan"), Decimal("NaN"))]
    assert told == ["\u221e", "NaN", "NaN"]


def test_an_exact_number_keeps_its_digits_and_what_is_small_is_not_nought() -> None:
    assert speech().exact("0.10000004") == "0,10000004"
    assert speech(Language.EN).exact("1234.5") == "1,234.5"
    assert [speech().exact(text) for text in ("", "NaN", "ana")] == ["", "NaN", "ana"]
    assert speech().text(say("{cost} zCDP", cost=Decimal("0.00004"))) == "0,00004 zCDP"
    assert speech().amount(0.0012, 2) == speech().amount(0.005, 2) == "<\u00a00,01"
    assert [speech().amount(value, 2) for value in (0.0, 0.006, 1.5)] == ["0,00", "0,01", "1,50"]


def test_on_a_page_moments_in_sentences_stay_right_and_commands_stand_out() -> None:
    since = START - timedelta(minutes=3)
    told = speech(Language.EN).marked(Sentence("since {at}: `run {x}`", {"at": since, "x": "<b>"}))
    assert told == (
        'since <time datetime="2026-11-30T12:59:05Z" title="2026-11-30 12:59:05 UTC">13:59:05 '
        "(<span data-ago>3 minutes ago</span>)</time>: <code>run &lt;b&gt;</code>"
    )
    assert speech().marked("`x` <b>") == "`x` &lt;b&gt;"  # what others wrote is no command of ours


def test_plurals_follow_the_language() -> None:
    none, one, two = (plural("{number} node", "{number} nodes", n) for n in (0, 1, 2))
    assert [speech().text(each) for each in (none, one, two)] == ["0 nœud", "1 nœud", "2 nœuds"]
    english = speech(Language.EN)
    assert [english.text(each) for each in (none, one, two)] == ["0 nodes", "1 node", "2 nodes"]


def test_times_are_the_territorys() -> None:
    assert speech().moment(START) == "14:02:05"
    assert speech().moment(START - timedelta(days=40)) == "21 oct. 2026, 15:02"  # summer time
    assert speech(Language.EN).moment(START - timedelta(days=400)) == "26 Oct 2025, 14:02"
    assert speech().utc(START) == "2026-11-30 13:02:05 UTC"
    # Shortly before midnight in UTC it is tomorrow in Paris.
    late = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    assert Speech(Language.FR, WORDS, late, PARIS).moment(START).startswith("30 nov. 2026")


@pytest.mark.parametrize(
    ("away", "french", "english"),
    [
        (0, "il y a 1 seconde", "1 second ago"),
        (-59, "il y a 59 secondes", "59 seconds ago"),
        (-180, "il y a 3 minutes", "3 minutes ago"),
        (7200, "dans 2 heures", "in 2 hours"),
        (-86400 * 3, "il y a 3 jours", "3 days ago"),
    ],
)
def test_ages(away: int, french: str, english: str) -> None:
    when = START + timedelta(seconds=away)
    assert (speech().ago(when), speech(Language.EN).ago(when)) == (french, english)


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "0 s"), (61, "1 min 1 s"), (4320, "1 h 12 min"), (90000, "1 j 1 h")]
)
def test_durations(seconds: int, told: str) -> None:
    assert speech().duration(timedelta(seconds=seconds)) == told.replace(" ", "\u00a0", 1).replace(
        told.split(" ")[-2] + " " + told.rsplit(" ", maxsplit=1)[-1],
        told.split(" ")[-2] + "\u00a0" + told.rsplit(" ", maxsplit=1)[-1],
    )


def test_sentences_nest_and_keep_what_is_no_placeholder() -> None:
    inner = plural("{number} node", "{number} nodes", 3)
    assert speech().text(Sentence("{a} {b} {} {0} {a.b}", {"a": inner, "b": 1.5})) == (
        "3 nœuds 1,5 {} {0} {a.b}"
    )


@given(st.text(max_size=40))
def test_no_value_becomes_markup_or_a_placeholder(text: str) -> None:
    told = speech().message("Hello {name} {link}", name=text, link=Markup("<b>x</b>"))
    assert isinstance(told, Markup)
    assert told.count("<") == 2
    assert speech().text(Sentence("<{name}>", {"name": "{name}"})) == "<{name}>"


def request(query: str = "", cookie: str = "", accept: str = "") -> Request:
    headers = [(b"accept-language", accept.encode()), (b"cookie", cookie.encode())]
    return Request(
        {"type": "http", "method": "GET", "path": "/", "query_string": query.encode(),
         "headers": headers}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("query", "cookie", "accept", "language"),
    [
        ("", "", "", "fr"),
        ("", "", "en-GB,en;q=0.9", "en"),
        ("", "", "de,en;q=0.4,fr;q=0.8", "fr"),
        ("", "", "en;q=nan,fr;q=0.1", "fr"),
        ("", "", "en;q=2,fr;q=0.1", "fr"),
        ("", "", "*", "fr"),
        ("", "cadastre_lang=en", "fr", "en"),
        ("", "cadastre_lang=tlh", "en", "en"),
        ("lang=fr", "cadastre_lang=en", "en", "fr"),
        ("lang=xx", "cadastre_lang=en", "fr", "en"),
    ],
)
def test_the_language_is_chosen_then_remembered_then_guessed(
    query: str, cookie: str, accept: str, language: str
) -> None:
    assert languages.of(request(query, cookie, accept)) == language


def test_ticks_begin_days_at_midnight_there() -> None:
    from web.charts import scales

    zone = ZoneInfo("Europe/Paris")
    spoken = Speech(Language.FR, WORDS, START, zone)
    ticks = scales.moments(START - timedelta(days=5), START, spoken)
    assert {tick.astimezone(zone).hour for tick in ticks} == {0}
    assert say("x") == Sentence("x", {})


def test_a_room_inside_a_room_has_its_own_words(room: str) -> None:
    inner = Path(str(sys.modules[room].__file__)).parent / "annex"
    (inner / "locale").mkdir(parents=True)
    (inner / "__init__.py").write_text("")
    (inner / "words.py").write_text('from web.sentences import say\nC = say("annexed")\n')
    assert "annexed" not in extraction.messages(room)
    assert set(extraction.messages(f"{room}.annex")) == {"annexed"}
