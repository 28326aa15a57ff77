"""What the database asks of the assessor's sources: by what a parcel is known, by the API and by the public
page.
"""

IDENTITIES = """
    SELECT 'assessor', o.ownership, p.property_address FROM assessor.parcel p
    LEFT JOIN assessor.owner o USING (apn) WHERE p.apn = %(apn)s
    UNION ALL SELECT 'assessor_page', ownership, NULL FROM assessor_page.parcel WHERE apn = %(apn)s
"""
