"""Which node is next: as pure logic, and with two real scrapyd nodes that keep what they are given
waiting.
"""

from pathlib import Path

import pytest

from benchmarks.scrapyd_nodes import PASSWORD, USER, Scrapyd
from maricopa_scrapy.jobs.deploy import deploy
from maricopa_scrapy.jobs.executor import NodeError
from maricopa_scrapy.jobs.nodes import REST_MOST_S, REST_S, Nodes, Rests, by_room
from maricopa_scrapy.jobs.scrapyd import ScrapydNode


@pytest.mark.parametrize(
    ("loads", "capacities", "order"),
    [
        ({"a": 0, "b": 0}, {"a": 1, "b": 1}, ["a", "b"]),
        ({"a": 1, "b": 0}, {"a": 1, "b": 1}, ["b", "a"]),
        ({"a": 1, "b": 0}, {"a": 4, "b": 1}, ["a", "b"]),
        ({"a": 3, "b": 0}, {"a": 4, "b": 1}, ["a", "b"]),
        ({"a": 4, "b": 0}, {"a": 4, "b": 1}, ["b", "a"]),
        ({"c": 0, "a": 9}, {"a": 1, "b": 1, "c": 1}, ["c", "a"]),
        ({}, {"a": 1}, []),
    ],
)
def test_the_node_with_most_room_is_first(
    loads: dict[str, int], capacities: dict[str, int], order: list[str]
) -> None:
    assert by_room(loads, capacities) == order


def test_a_node_that_fails_rests_ever_longer_until_it_answers() -> None:
    rests, now, lasted = Rests(), 100.0, []
    for _ in range(8):
        assert not rests.is_resting("a", now)
        rest = rests.failed("a", now)
        lasted.append(rest)
        assert rests.is_resting("a", now + rest - 0.1)
        # What fails meanwhile was begun before: the rest is no longer for it.
        assert rests.failed("a", now + 1) == rest - 1
        assert not rests.is_resting("b", now)
        now += rest
    assert lasted[:3] == [REST_S, 2 * REST_S, 4 * REST_S]
    assert lasted[-1] == REST_MOST_S
    rests.answered("a")
    assert rests.failed("a", now) == REST_S


def test_runs_are_spread_by_capacity_and_a_lost_node_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = {"poll_interval": "600"}
    with (
        Scrapyd(tmp_path / "small", options=waiting) as small,
        Scrapyd(tmp_path / "big", options=waiting) as big,
    ):
        clock = [0.0]
        one, other = (
            ScrapydNode(f"{node.url}/?max_proc={most}", USER, PASSWORD)
            for node, most in ((small, 2), (big, 6))
        )
        nodes = Nodes([one, other], clock=lambda: clock[0])
        with pytest.raises(NodeError, match=r"no project maricopa_scrapy; `maricopa deploy --to http"):
            nodes.check()
        for node in (one, other):
            deploy(node)
        nodes.check()

        handles = [nodes.start("assessor", {"job": "1"}) for _ in range(8)]

        assert (one.load(), other.load()) == (2, 6)
        assert all(nodes.is_running(handle) for handle in handles)
        nodes.stop(handles[0])
        assert one.load() + other.load() == 7

        big.kill()
        lost = next(handle for handle in handles if handle.startswith(other.name))
        assert nodes.is_running(lost) is None
        for _ in range(3):
            assert nodes.start("assessor", {"job": "1"}).startswith(one.name)
        assert caplog.text.count("left alone for 15 s") == 1, caplog.text
        clock[0] += REST_S
        nodes.start("assessor", {"job": "1"})
        assert "left alone for 30 s" in caplog.text
        small.kill()
        with pytest.raises(NodeError, match=rf"no node can start assessor now: {one.name} cannot be reached"):
            nodes.start("assessor", {"job": "1"})
        with pytest.raises(NodeError, match="left alone"):
            nodes.start("assessor", {"job": "1"})
        with pytest.raises(NodeError, match="none of"):
            nodes.kill("http://elsewhere:6800 abc")
        assert nodes.is_running("http://elsewhere:6800 abc") is None
        assert nodes.last_words("assessor", "http://elsewhere:6800 abc") == ""
        assert PASSWORD not in caplog.text


def test_a_node_is_named_once() -> None:
    with pytest.raises(NodeError, match="named twice"):
        Nodes([ScrapydNode("http://a:1"), ScrapydNode("http://u:p@a:1?max_proc=3")])
