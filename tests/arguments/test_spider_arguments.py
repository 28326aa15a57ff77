"""Mistakes in arguments must be one clear line."""

import pytest

from maricopa_scrapy.arguments import spider_arguments
from maricopa_scrapy.arguments.spider_arguments import ArgumentError


def test_arguments_that_exclude_each_other_or_are_missing() -> None:
    with pytest.raises(ArgumentError, match="give one of -a apns=... -a owner=...|give one of"):
        spider_arguments.one_of({}, ["apns", "owner"])
    with pytest.raises(ArgumentError, match="cannot be given together with `apns`"):
        spider_arguments.one_of({"apns": "x", "owner": "y"}, ["apns", "owner"])


def test_an_unknown_argument_is_named_with_a_suggestion() -> None:
    with pytest.raises(ArgumentError, match="spider argument `apn`: unknown.*did you mean apns"):
        spider_arguments.check_names(["apn"], ["apns", "owner"])


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", "\u0661", ""])
def test_a_job_number_is_a_whole_number_above_zero(value: str) -> None:
    with pytest.raises(ArgumentError):
        spider_arguments.number("job", value)


@pytest.mark.parametrize("value", ["maybe", ""])
def test_a_flag_is_yes_or_no(value: str) -> None:
    with pytest.raises(ArgumentError, match="neither yes nor no"):
        spider_arguments.flag("skip_invalid", value)
