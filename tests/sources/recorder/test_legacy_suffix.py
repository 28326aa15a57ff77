"""A legacy page of a number with a letter: the letter is beside the number, or in it too."""

import pytest

from maricopa_scrapy.parsing.errors import SourceChanged, WrongDocument
from maricopa_scrapy.sources.recorder.legacy_pages import parse_legacy_document

_PAGE = """<html><body><span id="ctl00_ContentPlaceHolder1_lblRecNum">{number} <br></span>
<span id="ctl00_ContentPlaceHolder1_lblRecDate">6/9/2000 8:47:00 AM<br></span>
<input type="hidden" id="ctl00_ContentPlaceHolder1_hidsuf" value="{letter}"></body></html>"""


@pytest.mark.parametrize(
    ("said", "letter"), [("20000784158", "A"), ("20000784158A", "A"), ("20000784158A", "")]
)
def test_a_letter_is_read_wherever_it_stands_and_another_document_is_refused(said: str, letter: str) -> None:
    body = _PAGE.format(number=said, letter=letter).encode()
    assert parse_legacy_document(body, "20000784158A").document.recording_number == "20000784158A"
    for other in ("20000784158", "20000784158B"):
        with pytest.raises(WrongDocument):
            parse_legacy_document(body, other)


def test_the_number_itself_is_no_letter() -> None:
    with pytest.raises(SourceChanged, match="a letter"):
        parse_legacy_document(
            _PAGE.format(number="20000784158", letter="20000784158").encode(), "20000784158"
        )
