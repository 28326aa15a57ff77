"""docs/parcel-lists.md: its examples are read, or refused, as it says."""

import re
from pathlib import Path

import pytest

from maricopa_scrapy.arguments import ApnList
from maricopa_scrapy.arguments.spider_arguments import ArgumentError
from tests.conftest import ROOT
from tests.helpers.written_lists import file

PAGE = (ROOT / "docs" / "parcel-lists.md").read_text()
EXAMPLES = re.findall(r"```list\n(.*?)```\n\n(gives|is refused:) (.+?)\n", PAGE, re.DOTALL)


def test_every_example_says_what_comes_of_it() -> None:
    assert len(EXAMPLES) == PAGE.count("```list\n")
    assert {outcome for _, outcome, _ in EXAMPLES} == {"gives", "is refused:"}


@pytest.mark.parametrize(("content", "outcome", "told"), EXAMPLES)
def test_an_example_is_read_as_the_page_says(tmp_path: Path, content: str, outcome: str, told: str) -> None:
    path = file(tmp_path, content)
    if outcome == "gives":
        assert list(ApnList("apns", path)) == told.removesuffix(".").split()
        return
    with pytest.raises(ArgumentError) as error:
        list(ApnList("apns", path))
    assert told in str(error.value)
