"""What the ledger's words mean, in a sentence for a person (docs/logs.md says more)."""

from dataclasses import dataclass

from maricopa_scrapy.items import Cause, Reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """How good it is (good, warn, bad, off, busy), what it means, and the verb of `maricopa` that goes on, if
    any.
    """

    tone: str
    means: str
    verb: str = ""


OUTCOMES = {
    "completed": Outcome("good", "Every target is done, or the county says that there is none."),
    "completed_with_failures": Outcome(
        "warn", "Targets were given up, or sections of answers could not be read; none is left open.", "retry"
    ),
    "incomplete": Outcome("warn", "Targets are left, or less came than a healthy run brings.", "resume"),
    "blocked": Outcome(
        "bad", "The host wants to see a human. That is neither solved nor evaded: wait, then go on.", "resume"
    ),
    "failed": Outcome("bad", "The run could not do its work.", "resume"),
    "cancelled": Outcome("off", "Somebody cancelled the job. What it had collected is stored."),
    "running": Outcome("busy", "The job is at work: this page is how it stood when it was made."),
    "pausing": Outcome("busy", "The job is about to pause."),
    "cancelling": Outcome("busy", "The job is about to end."),
    "paused": Outcome("off", "The job is paused; what it had collected is stored.", "resume"),
    "waiting": Outcome("off", "The job waits for its turn."),
    "pending": Outcome("off", "The job has not begun.", "resume"),
    "interrupted": Outcome(
        "warn", "Nobody works on the job any more. What it had collected is stored.", "resume"
    ),
}

REASONS: dict[str, str] = {
    Reason.UNAUTHORIZED: "the API did not take the token; no target was marked",
    Reason.UNVERIFIED: "the certificate of a host could not be verified; no target was marked",
    Reason.BLOCKED: "a challenge page came",
    Reason.SOURCE_UNAVAILABLE: "the source gave no answer for a long time; what is left is pending",
    Reason.DATABASE_UNAVAILABLE: "Postgres stayed away for too long",
    Reason.PIPELINE_ERROR: "a component of ours broke; the log has its traceback",
    Reason.REFUSED_START: "a run could not begin; its log says why",
    Reason.DUE_LATER: "what is left cannot be there yet",
    Reason.LOST: "a run was silent, or its process was gone",
    Reason.PAUSED: "somebody paused the job",
    Reason.CANCELLED: "somebody cancelled the job",
    "shutdown": "somebody interrupted it (Ctrl-C or SIGTERM)",
}

CAUSES: dict[str, str] = {
    Cause.THROTTLED: "429 or 503: too fast",
    Cause.REFUSED: "403, a redirect, another 4xx, robots.txt, or an empty answer that the search contradicts",
    Cause.CHALLENGE: "a page that wants to see a human",
    Cause.NOT_FOUND: "an empty answer where none may be",
    Cause.SOFT_404: "a page that says nothing, where an answer is due",
    Cause.SERVER_ERROR: "5xx, or a page that says it is closed for maintenance",
    Cause.TIMEOUT: "no answer in time",
    Cause.CONNECTION: "no connection, or one that was cut",
    Cause.MALFORMED: "not what the source answers with, or it does not say whose it is",
    Cause.WRONG_PARCEL: "the answer is another parcel's",
    Cause.WRONG_DOCUMENT: "the answer is another document's",
    Cause.SOURCE_CHANGED: (
        "a field is missing or not of its kind: the source has changed; no section of that answer could be"
        " read"
    ),
    Cause.BROWSER: "the browser or a page of it crashed, or did not answer",
    Cause.STORE: "Postgres refused the rows of this one answer",
    Cause.UNKNOWN_DETAIL: "another version of maricopa_scrapy wrote the target; it was not asked for",
}
