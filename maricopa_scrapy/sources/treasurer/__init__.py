"""The treasurer: a parcel's page, tab by tab."""
