"""What the database asks of the treasurer: by what a parcel is known."""

IDENTITIES = "SELECT 'treasurer', owner, situs_address FROM treasurer.account WHERE apn = %(apn)s"
