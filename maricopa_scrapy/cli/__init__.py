"""The `maricopa` command: one thin function a verb."""
