"""What a bundle may show as it is: words of labels, keys whose values are persons' or addresses, and the
forms of numbers and codes.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from maricopa_scrapy.configuration import Manifest
from maricopa_scrapy.parsing.shapes import Shape
from maricopa_scrapy.sources.assessor import parcel_fields
from maricopa_scrapy.sources.bulk.affidavits import SALES_AFFIDAVITS

# Words of the offices' own language: headings, statuses, kinds. None is a usual first or last name, so
# neither "bill" nor "price".
_LABELS = """
    account activity amount and apn area assessed assessment assessor at available balance base before bills
    billed by calendar cancelled certificate charge charges class code codes column control cost costs county
    current date day days deed deeds delinquent description detail details district document documents due
    each exempt exemption expand fee fees file filed first for found from full fund funds gross half help
    history home information instalment installment interest item items land last late legal levy lien liens
    limited list loading location lot mailing map market match net next no none not number of office on open
    option options or original other outstanding owed owner owners page pages paid parcel parcels partial
    partially pay payment payments penalties penalty pending per percentage personal posted previous primary
    prior processed property purchase query rate real receipt recent record recorded recorder records redeemed
    reference refund result results roll search second secondary secured section select show situs size sold
    special state statement status sub subdivision summary tab tax taxable taxes term the this to total
    transaction transactions treasurer trust type unpaid unsecured until update updated use valuation
    valuations value values view void with year years your zoning agent allow crawl delay disallow user
    sitemap robots error bad request status path timestamp message unable complete operation invalid url
    internal server forbidden unauthorized moved permanently moment just enable javascript cookies continue
    true false null conveyance affidavit agreement assignment beneficiary book docket federal general
    government guard indexed index judgment legacy maintenance medical mechanics mortgage notice notices
    partnership plat probate quit claim reconveyance release restricted sale substitution trustee trustees
    unofficial warranty blocked browser residential commercial vacant condo townhouse industrial agricultural
    improvement improvements sketch sketches names rows row feature features field fields layer query json
    html csv zip single family residence residential occupied homeowner rental class classified common areas
    stub stubs districts details forms txt aspx pdf png jpg gif js css robots www http https com gov org sort
    ascending descending filter previous last go clear close print download email phone mobile contact
    questions call us hours about help accessibility privacy terms use site welcome please enter your number
    street address account business view all years taxes owed half balance forward adjustments corrections
    returned payment plan agreement convenience receipt confirmation check cash card credit debit electronic
    online
"""
# In a cell a text of known words may still be an owner's: the county's own, or a city's.
_INSTITUTIONS = frozenset(
    ("county", "maricopa", "arizona", "state", "city", "town", "phoenix", "trust", "land", "office", "parcel")
)
# Values of these are replaced, whatever they look like.
_PERSON = re.compile(
    r"owner|name|addr|street|situs|city|town(?!ship)|zip|postal|mail|phone|fax|contact|agent|care|grantor|grantee|part(?:y|ies)\b|person"
    r"|buyer|seller|suite|physical|vin\d?$|signer|taxpayer|country",
    re.IGNORECASE,
)
_NO_PERSON = re.compile(r"fieldname$|^(?:doclongname|filename|user-agent|numberofparcels\w*)$", re.IGNORECASE)
_PERSON_LABEL = re.compile(
    r"\bowners?\b|\bnames?\b|address|situs|mailing|care of|grantor|grantee|\bpart(?:y|ies)\b|taxpayer|"
    r"contact|\bagent|phone|e-?mail"
    r"|\bsold to\b|\bbuyer|\bseller", re.IGNORECASE,
)  # fmt: skip
_SECRET = re.compile(
    r"token|viewstate|validation|csrf|xsrf|session|cookie|authoriz|authent|password|secret|api_?key|cfemail|"
    r"nonce", re.IGNORECASE
)  # fmt: skip
# Values of these are words of a schema.
_SCHEMA = re.compile(
    r"^(?:type|alias|sqlType|geometryType|capabilities|supportedQueryFormats|displayField\w*|objectId\w*|globalId\w*|uniqueIdField|units"
    r"|docType|docLongName|documentCodes?|error|message|details|path|outFields|where|orderByFields|f|mod|returnGeometry)$"
    r"|Field(?:Name)?$|^fieldAliases\.|^fields\.",
)  # fmt: skip
WITHHELD = ("NA", "N/A", "0", ",", "na", "n/a")

_MONEY = r"-?\(?\$\s?\d[\d,]*(?:\.\d{2})?\)?"
_TIME = r"(?:,? \d{1,2}:\d{2}(?::\d{2})?(?: ?[AaPp][Mm])?)?"
_DATE = rf"\d{{1,2}}[/-]\d{{1,2}}[/-]\d{{2,4}}{_TIME}|"
_DATE += r"\d{4}-\d{2}-\d{2}(?:[T ][\d:.]+Z?)?|\d{2}-[A-Z]{3}-\d{2}"
_APN = r"\d{3}-\d{2}-\d{3}[A-Za-z]?(?:-\d)?|\d{8}[A-Za-z]?"
_RECORDING = r"(?:19|20)\d{2}-?\d{7}[A-Z]?"
_STR = r"\d{1,2} ?\d{1,2}[NS] ?\d{1,2}[EW]"
# Spans of a text that stay, wherever they are.
SPANS = re.compile(rf"(?<![\w$.-])(?:{_MONEY}|{_DATE}|{_APN}|{_RECORDING}|{_STR})(?![\w-])")
NUMBER = re.compile(rf"[-+($]*\d[\d\s.,$%()/:+-]*|{_DATE}|{_APN}|{_RECORDING}|{_STR}|NOD-\d+")
# One token with a digit in it and few letters.
CODE = re.compile(r"(?=\S*\d)[A-Za-z]{0,3}[-./]?[\d.]{1,8}(?:[-./]?[A-Za-z]{1,2})?")
SHORT_CODE = re.compile(r"[A-Z]{1,3}|[A-Z]/[A-Z]")
# Area code and exchange as the numbering plan has them; eleven digits of 19... or 20... are a recording
# number.
PHONE = re.compile(
    r"(?<![\w$.,#/-])(?:\+1[ .-]?|1[ .-])?(?:\([2-9]\d{2}\)[ .-]{0,2}|[2-9]\d{2}[ .-]?)[2-9]\d{2}["
    r" .-]?\d{4}(?![\w-]|\.\d)"
)
EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
WORD = re.compile(r"[^\W_]+")
LETTERS = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def is_person_key(key: str) -> bool:
    """Whether values of a key, a column or a field are persons', addresses or telephone numbers.

    >>> is_person_key("MailingZip"), is_person_key("displayFieldName")
    (True, False)
    >>> is_person_key("Township"), is_person_key("LotSize")
    (False, False)
    """
    return bool(_PERSON.search(key)) and not _NO_PERSON.search(key)


def is_person_label(text: str) -> bool:
    """Whether what stands below a heading is a person's, or an address."""
    return bool(_PERSON_LABEL.search(text))


def is_secret_key(key: str) -> bool:
    """Whether values of a key are tokens of a session."""
    return bool(_SECRET.search(key))


def is_schema_key(key: str) -> bool:
    """Whether values of a key are words of a schema, not of a parcel."""
    return bool(_SCHEMA.search(key))


def is_known_text(text: str, allowed: frozenset[str]) -> bool:
    """Whether a text consists of known words alone, and is none that could be an owner."""
    words = [word.casefold() for word in LETTERS.findall(text)]
    return bool(words) and all(word in allowed for word in words) and not _INSTITUTIONS.intersection(words)


@cache
def _fixed() -> frozenset[str]:
    shapes = [value for value in vars(parcel_fields).values() if isinstance(value, Shape)]
    keys = (
        [key for shape in shapes for key in shape.keys]
        + [shape.path for shape in shapes]
        + list(SALES_AFFIDAVITS.header)
    )
    keys += ["names", "documentCodes", "recordingDate", "recordingNumber", "recordingSuffix", "documentCode",
    "pageAmount", "docketBook",
             "pageMap", "affidavitPresent", "affidavitPageAmount", "restricted", "searchResults",
             "totalResults", "docType", "docLongName",
             "Results", "TOTAL", "RealProperty", "SubdivisonName", "RentalID", "OBJECTID",
             "GlobalID"]  # fmt: skip
    return frozenset(_LABELS.split()) | words_of(keys)


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """Return words as they are compared: those between blanks and signs, and the parts of CamelCase."""
    found: set[str] = set()
    for text in texts:
        for word in WORD.findall(text):
            found.add(word.casefold())
            found.update(part.casefold() for part in _CAMEL.findall(word))
    return frozenset(word for word in found if word)


def allowed_words(manifests: Mapping[str, Manifest]) -> frozenset[str]:
    """Return the words that may stay: the offices' own language, keys and fields, and the words of the
    manifests.
    """
    texts: list[str] = []
    for manifest in manifests.values():
        texts += [*manifest.paths.values(), *manifest.links.values(), manifest.base_url]
        texts += [f"{layer.url} {layer.days}" for layer in manifest.layers.values()]
        for layer in manifest.layers.values():
            texts += [field for field, _ in (*layer.columns.values(), *layer.optional.values())] + list(
                layer.ignored
            )
        texts += [*manifest.codes, *manifest.codes.values()]
        for part in (manifest.labels, manifest.page):
            texts += _strings(part.model_dump() if part else None)
    return _fixed() | words_of(texts)


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for key, one in value.items() for text in (str(key), *_strings(one))]
    return [text for one in value for text in _strings(one)] if isinstance(value, list | tuple) else []
