"""What config/sources/treasurer.yaml says under `page` of each skin of the sandbox's treasurer, where it is
otherwise than shipped.
"""

from functools import cache
from typing import Any

from maricopa_scrapy import configuration
from maricopa_scrapy.parsing.page_layout import Layout

_RESULTS = {"rows": "#propertyOwnerSearchResultColumn tbody tr", "open": "a"}
_AT = {
    "summary": {"tax_year": 1, "status": 2, "assessed": 3, "paid": 4, "interest": 5, "amount_due": 6},
    "payments": {"tax_year": 1, "description": 2, "amount": 3, "paid_on": 4},
}

PAGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "heading_identity": {"identity": [{"at": "heading", "selector": "h1"}]},
    "address_identity": {"identity": [{"at": "account"}, {"at": "address"}]},
    "three_owners": {"owners": {"listed": "blocks"}},
    "no_headings": {
        "columns": {
            tab: {column: {"headings": [], "position": at} for column, at in of.items()}
            for tab, of in _AT.items()
        }
    },
    "interest_column": {"columns": {"summary": {"interest": {"headings": ["Accrued Interest"]}}}},
    "other_words": {
        "statuses": {
            "Paid in Full": "paid",
            "Balance Due": "unpaid",
            "Tax Lien Sold": "lien",
            "State-Held Tax Lien": "state_lien",
        }
    },
    "absent_grid": {"results": _RESULTS},
    "six_tabs": {"places": {"summary": "Tax Summary", "payments": ["Payments", "Payment History"]}},
    "two_portions": {"quiet": 0.5},
    "found_grid": {"results": _RESULTS, "patience": 0.4},
    "no_identity": {
        "identity": [
            {"at": "account"},
            {"at": "heading", "selector": "h1, h2"},
            {"at": "tab"},
            {"at": "address"},
        ]
    },
    "wrong_sums": {},
}


def merged(page: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a page with some of its values changed; what a dict does not name stays."""
    return page | {
        key: (
            merged(page[key], value)
            if isinstance(value, dict) and isinstance(page.get(key), dict) and key != "statuses"
            else value
        )
        for key, value in changes.items()
    }


@cache
def shipped() -> Layout:
    """Return the layout that config/sources/treasurer.yaml has."""
    page = configuration.load()[1]["treasurer"].page
    assert page is not None
    return page


def layout(**changes: Any) -> Layout:
    """Return the shipped layout with some of its values changed."""
    return type(shipped()).model_validate(merged(shipped().model_dump(), changes))
