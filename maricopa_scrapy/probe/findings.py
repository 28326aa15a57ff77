"""What was looked at of a source: an assumption, whether it held, the evidence, and what follows."""

from dataclasses import asdict, dataclass, field
from typing import Any

HELD, SOME_NOT_HELD, BLOCKED = 0, 3, 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One assumption. `held` is None when it could not be told; `follows` names the line to correct, or the
    command to run.
    """

    source: str
    assumption: str
    held: bool | None
    evidence: str
    follows: str = ""

    @property
    def word(self) -> str:
        """What the table says."""
        return "not told" if self.held is None else "held" if self.held else "not held"


@dataclass(slots=True)
class Sheet:
    """The findings of one source. `blocked`: the challenge that ended it, else empty."""

    source: str
    findings: list[Finding] = field(default_factory=list)
    blocked: str = ""

    def held(self, assumption: str, evidence: str) -> None:
        """Note that an assumption held."""
        self._note(assumption, True, evidence)

    def broken(self, assumption: str, evidence: str, follows: str) -> None:
        """Note that an assumption did not hold."""
        self._note(assumption, False, evidence, follows)

    def untold(self, assumption: str, evidence: str, follows: str = "") -> None:
        """Note that it could not be told."""
        self._note(assumption, None, evidence, follows)

    def check(self, assumption: str, is_so: bool, evidence: str, follows: str) -> None:
        """Note an assumption; `follows` counts only when it did not hold."""
        self._note(assumption, is_so, evidence, "" if is_so else follows)

    def _note(self, assumption: str, held: bool | None, evidence: str, follows: str = "") -> None:
        self.findings.append(Finding(self.source, assumption, held, evidence, follows))

    def rest(self, assumptions: tuple[str, ...], why: str) -> None:
        """Note each of the assumptions that nothing was found of."""
        seen = {one.assumption for one in self.findings}
        for assumption in assumptions:
            if assumption not in seen:
                self.untold(assumption, f"not asked: {why}")


def exit_code(sheets: list[Sheet]) -> int:
    """Return 5 when a source answered by a challenge, 3 when an assumption did not hold, else 0."""
    if any(sheet.blocked for sheet in sheets):
        return BLOCKED
    return SOME_NOT_HELD if any(one.held is False for sheet in sheets for one in sheet.findings) else HELD


def as_json(sheets: list[Sheet]) -> list[dict[str, Any]]:
    """Return all findings as JSON."""
    return [asdict(one) | {"held": one.held} for sheet in sheets for one in sheet.findings]
