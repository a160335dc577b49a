import pytest

from afl_helpers.data.sources.wiki_markup import clean_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{plot}} The film", "The film"),
        ("a {{cite|{{inner|x}}|y}} b", "a b"),
        ("{{Infobox film | name = X", "Infobox film | name = X"),  # no end: the words stay
        ("see [[Titanic (ship)|the ship]] sink", "see the ship sink"),
        ("by [[Frank Capra]]", "by Frank Capra"),
        ("Anna ([[Karen Young , a widow", "Anna (Karen Young , a widow"),
        ("sick. [[Image:Red Cliff.jpg|right|thumb|Troops look on", "sick. Troops look on"),
        ("done.<ref name=x>Smith, p. 3</ref> Then", "done. Then"),
        ('done.<ref name="x" /> Then', "done. Then"),
        ("Antonio .<ref name1991|first D'Lugo|titlePress}}", "Antonio ."),
        ("line<br />break, <i>italic</i> and H<sub>2</sub>O", "line break, italic and H2O"),
        ("before <!-- note --> after", "before after"),
        ("glass &mdash; legs&nbsp;and &#39;x&#39; &amp; y", "glass — legs and 'x' & y"),
        ("the battle.http://www.abc.net/a.htm In 208", "the battle. In 208"),
        ("[http://x.org the site] says", "the site says"),
        ("'''Bold''' and ''slanted''", "Bold and slanted"),
        ("== Plot == It begins", "Plot It begins"),
    ],
)
def test_markup_is_removed(text, expected):
    assert clean_text(text) == (expected, True)


@pytest.mark.parametrize(
    "text", ["5 < 6 and 7 > 6", "AT&T & co; R&D", "don't = won't", "[sic] {a} I <3 you", "a 'b' c"]
)
def test_ordinary_signs_stay(text):
    assert clean_text(text) == (text, False)
