"""The one table that `make bench` ends with."""

from benchmarks.summary import table


def test_every_row_of_every_bench_is_in_the_table_and_a_miss_is_seen() -> None:
    row = {
        "what": "rows/s",
        "figure": "44,144/s",
        "peer": "85,896/s",
        "ratio": 0.5139,
        "bar": 0.5,
        "at_most": False,
        "holds": True,
    }
    machine = {
        "cores": 2,
        "memory_gb": 23.5,
        "python": "3.11.7",
        "scrapy": "2.19.0",
        "twisted": "26.10.0",
        "system": "Linux",
    }
    first = {
        "bench": "roll",
        "at": "2026-11-25T16:30:00+00:00",
        "seconds": 90,
        "machine": machine,
        "rows": [row],
    }
    missed = row | {"what": "memory | MB", "ratio": 1760.4, "bar": 400, "at_most": True, "holds": False}
    noted = row | {"what": "aim", "ratio": None, "bar": None, "holds": None}
    second = first | {
        "bench": "pace",
        "at": "2026-11-25T17:30:00+00:00",
        "seconds": 30,
        "rows": [missed, noted],
    }
    said, _, _, _, *lines = table([first, second]).splitlines()
    assert said.startswith(
        "2026-11-25 16:30 to 2026-11-25 17:30 UTC, 2 minutes; 2 cores, 23.5 GB, Linux, Python 3.11.7, "
    )
    assert said.endswith("1 bars hold, 1 do not.")
    assert lines == [
        "| roll | rows/s | 44,144/s | 85,896/s | 0.514 | >= 0.5 | yes |",
        "| pace | memory / MB | 44,144/s | 85,896/s | 1,760 | <= 400 | **no** |",
        "| pace | aim | 44,144/s | 85,896/s |  |  |  |",
    ]
