"""Named questions about what changed since a moment. Each is one statement over public.change and the tables
that it needs.

Of an owner whom the county withholds each says "withheld" (public.withheld), then as before.

What `maricopa reparse` corrected is no change of the county's, and in none of them.
"""

from dataclasses import dataclass

# Changes of one field that a source made: `c`. The value that stands next to it now is told only while it
# still belongs to it.
_CHANGED = """
    FROM public.change c JOIN crawl.run r ON r.id = c.run_id
    LEFT JOIN public.withheld w ON w.apn = c.key->>'apn' {join}
    WHERE c.table_name = '{table}' AND c.field = '{field}' AND c.changed_at >= %(since)s
      AND c.changed_at < %(until)s
      AND r.spider <> 'reparse' {where} ORDER BY c.changed_at, c.id
"""


def _changed(select: str, table: str, field: str, join: str = "", where: str = "") -> str:
    return f"SELECT {select} {_CHANGED.format(table=table, field=field, join=join, where=where)}"


@dataclass(frozen=True, slots=True)
class Query:
    """`needs`: tables and views that must be there; `spider`: who fills them; `columns`: of each row, in
    order.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    spider: str
    columns: tuple[str, ...]
    statement: str


QUERIES: dict[str, Query] = {
    query.name: query
    for query in (
        Query(
            "new-owner",
            "another owner, by the assessor; a withheld one by its number",
            ("assessor.owner",),
            "assessor",
            ("changed_at", "apn", "old_owner", "new_owner", "deed_number", "deed_date", "sale_price"),
            """
            SELECT c.changed_at, c.apn, CASE WHEN w.apn IS NULL THEN c.old_owner ELSE 'withheld' END,
                   CASE WHEN w.apn IS NULL THEN c.new_owner ELSE 'withheld' END, o.deed_number, o.deed_date,
                   o.sale_price
            FROM (
                SELECT c.changed_at, c.key->>'apn' AS apn, min(c.id) AS id,
                       max(c.old) FILTER (WHERE c.field = 'ownership') AS old_owner,
                       max(c.new) FILTER (WHERE c.field = 'ownership') AS new_owner,
                           bool_or(c.field = 'ownership') AS is_named
                FROM public.change c JOIN crawl.run r ON r.id = c.run_id
                WHERE c.table_name = 'assessor.owner' AND c.field IN ('ownership', 'owner_id')
                  AND c.changed_at >= %(since)s AND c.changed_at < %(until)s AND r.spider <> 'reparse'
                GROUP BY c.changed_at, c.key, c.run_id
            ) c
            LEFT JOIN public.withheld w ON w.apn = c.apn
            LEFT JOIN assessor.owner o ON o.apn = c.apn AND (w.apn IS NOT NULL OR o.ownership IS NOT DISTINCT
                FROM c.new_owner)
            WHERE c.is_named OR w.apn IS NOT NULL ORDER BY c.changed_at, c.id
            """,
        ),
        Query(
            "new-deed",
            "another last deed, by the assessor",
            ("assessor.owner",),
            "assessor",
            ("changed_at", "apn", "old_deed", "new_deed", "deed_date", "deed_type", "sale_price", "owner"),
            _changed(
                "c.changed_at, c.key->>'apn', c.old, c.new, o.deed_date, o.deed_type, o.sale_price, "
                "CASE WHEN w.apn IS NULL THEN o.ownership ELSE 'withheld' END",
                "assessor.owner",
                "deed_number",
                "LEFT JOIN assessor.owner o ON o.apn = c.key->>'apn' AND o.deed_number IS NOT DISTINCT FROM"
                " c.new",
            ),
        ),
        Query(
            "new-value",
            "another full cash value of a tax year",
            ("assessor.valuation",),
            "assessor",
            ("changed_at", "apn", "tax_year", "old_value", "new_value"),
            _changed(
                "c.changed_at, c.key->>'apn', (c.key->>'tax_year')::integer, c.old::bigint, c.new::bigint",
                "assessor.valuation",
                "full_cash_value",
            ),
        ),
        Query(
            "new-owner-gis",
            "another owner, by the rolls of the whole county",
            ("gis.parcel",),
            "roll",
            ("changed_at", "apn", "old_owner", "new_owner", "deed_number", "deed_date", "sale_price"),
            _changed(
                "c.changed_at, c.key->>'apn', c.old, c.new, o.deed_number, o.deed_date, o.sale_price",
                "gis.parcel",
                "owner_name",
                "LEFT JOIN gis.parcel o ON o.apn = c.key->>'apn' AND (w.apn IS NOT NULL OR o.owner_name IS"
                " NOT DISTINCT FROM c.new)",
            ),
        ),
        Query(
            "missing-parcel",
            "parcels that a complete roll no longer had",
            ("gis.parcel",),
            "roll",
            ("changed_at", "apn", "owner", "property_address"),
            _changed(
                "c.changed_at, c.key->>'apn', CASE WHEN w.apn IS NULL THEN o.owner_name ELSE 'withheld' END,"
                " o.property_address",
                "gis.parcel",
                "removed_at",
                "LEFT JOIN gis.parcel o ON o.apn = c.key->>'apn'",
                "AND c.old IS NULL",
            ),
        ),
        Query(
            "tax-delinquent",
            "bills that became delinquent, or a lien, as of when they were read",
            ("treasurer.bill", "public.tax"),
            "tax",
            ("observed_at", "apn", "tax_year", "status", "amount_due", "due_on"),
            """
            SELECT t.observed_at, t.apn, t.tax_year, t.status, t.amount_due, t.next_due_on FROM public.tax t
            WHERE t.is_delinquent AND t.removed_at IS NULL AND t.observed_at >= %(since)s AND (
                (t.next_due_on >= (%(since)s AT TIME ZONE 'America/Phoenix')::date
                 AND t.next_due_on < (%(until)s AT TIME ZONE 'America/Phoenix')::date)
                OR EXISTS (
                    SELECT FROM crawl.change c JOIN crawl.run r ON r.id = c.run_id
                    WHERE c.table_name = 'treasurer.bill' AND c.field = 'status'
                      AND c.new IN ('lien', 'state_lien')
                      AND c.changed_at >= %(since)s AND c.changed_at < %(until)s AND r.spider <> 'reparse'
                      AND c.key->>'apn' = t.apn AND (c.key->>'tax_year')::integer = t.tax_year
                )
            ) ORDER BY t.apn, t.tax_year
            """,
        ),
        Query(
            "tax-paid",
            "bills of which nothing is due any more",
            ("treasurer.bill",),
            "tax",
            ("changed_at", "apn", "tax_year", "was_due", "paid"),
            _changed(
                "c.changed_at, c.key->>'apn', (c.key->>'tax_year')::integer, c.old::numeric, b.paid",
                "treasurer.bill",
                "amount_due",
                "LEFT JOIN treasurer.bill b ON b.apn = c.key->>'apn' AND b.tax_year ="
                " (c.key->>'tax_year')::integer",
                "AND c.new::numeric = 0",
            ),
        ),
        Query(
            "new-payment",
            "payments of bills that were known before",
            ("treasurer.payment", "treasurer.account"),
            "tax",
            ("first_seen_at", "apn", "tax_year", "paid_on", "description", "amount"),
            """
            SELECT p.first_seen_at, p.apn, p.tax_year, p.paid_on, p.description, p.amount
            FROM treasurer.payment p
            JOIN treasurer.account a ON a.apn = p.apn AND a.first_seen_at < p.first_seen_at
            WHERE p.first_seen_at >= %(since)s AND p.first_seen_at < %(until)s
            ORDER BY p.first_seen_at, p.apn, p.tax_year, p.ordinal
            """,
        ),
        Query(
            "new-document",
            "documents that the recorder showed for the first time",
            ("recorder.document",),
            "documents",
            ("first_seen_at", "recording_number", "recording_date"),
            """
            SELECT first_seen_at, recording_number, recording_date FROM recorder.document
            WHERE first_seen_at >= %(since)s AND first_seen_at < %(until)s
            ORDER BY first_seen_at, recording_number
            """,
        ),
    )
}
