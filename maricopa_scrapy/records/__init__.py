"""What people ask of the stored rows: a parcel's dossier, changes, verification, exports, a job's report."""
