"""The states of a target (`crawl.target.state`), and what each means."""

from enum import StrEnum


class TargetState(StrEnum):
    """What became of a target; its last three states are final until somebody asks again (`maricopa
    retry`).
    """

    PENDING = "pending"
    LEASED = "leased"
    DONE = "done"
    GONE = "gone"
    DEAD = "dead"


MEANINGS: dict[str, str] = {
    TargetState.PENDING: "nobody has asked for it yet, or it is to be asked for again",
    TargetState.LEASED: "a run is asking for it",
    TargetState.DONE: "its answer is stored",
    # An empty 404 counts only where a search gives no such parcel either.
    TargetState.GONE: "the county says that there is none",
    TargetState.DEAD: "it was given up; the cause is told",
}
