"""A county collected once and refreshed a period later: what the tests and the bench of refresh share.

Taxes of the first collection are stored as the treasurer's parser would have stored them, without a browser:
the refresh itself opens real pages, and its sample shows whether the two are the same.
"""

import datetime as dt
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from psycopg2.extensions import cursor as Cursor

from maricopa_scrapy.database.connect import Session
from maricopa_scrapy.database.store_and_acknowledge import CREATE_STAGES, encode, store_batch
from maricopa_scrapy.database.targets import Run
from maricopa_scrapy.items import Answer, Capture, FollowOn, Record, Target
from maricopa_scrapy.ledger import ledger
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess
from maricopa_scrapy.sandbox.treasurer.bills import Bill, day_of, taxes
from maricopa_scrapy.sandbox.treasurer.site import identity
from maricopa_scrapy.sources.treasurer.calendar import instalments
from maricopa_scrapy.sources.treasurer.records import TaxAccount, TaxBill, TaxPayment
from tests.conftest import ROOT

CHANGED = 0.01
_PHOENIX = dt.timezone(dt.timedelta(hours=-7))
_STATUS = {"Paid": "paid", "Unpaid": "unpaid", "Tax Lien": "lien", "Available Tax Lien": "state_lien"}
_DATED = (
    "gis.parcel", "bulk.sale", "assessor.parcel", "assessor.owner", "assessor.valuation",
    "assessor.residence",
    "assessor.improvement", "treasurer.account", "treasurer.bill", "treasurer.payment", "recorder.document",
)  # fmt: skip
# Of the assessor's answer what counts: owner, value, deed.
_KEYS = {"Ownership": "ownership", "MostCurrentDeed": "deed_number", "SalePrice": "sale_price"}


def noon(epoch: int) -> dt.datetime:
    """Return noon in Phoenix of the day on which the county of an epoch is looked at."""
    return dt.datetime.combine(day_of(epoch), dt.time(12, tzinfo=_PHOENIX))


@dataclass
class Place:
    """A database, a folder, and the parcels of a county whose offices agree."""

    url: str
    folder: Path
    parcels: int
    seed: int = 1
    changed: float = CHANGED
    rate: float = 300
    environment: dict[str, str] = field(default_factory=dict)

    def county(self, epoch: int) -> County:
        return County(self.seed, epoch, changed=self.changed)

    def sandbox(self, epoch: int) -> SandboxProcess:
        """Return the county; it must be entered."""
        return SandboxProcess(
            seed=self.seed, epoch=epoch, changed=self.changed, gis_parcels=self.parcels,
            affidavits=self.parcels, track=True,
        )  # fmt: skip

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        session = Session(self.url)
        try:
            return session.rows(statement, values)
        finally:
            session.close()

    def surroundings(self, sandbox: SandboxProcess) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MARICOPA_")}
        mine = {
            "MARICOPA_DATABASE_URL": self.url,
            "MARICOPA_SANDBOX": sandbox.url,
            "MARICOPA_DATA_DIR": str(self.folder / "data"),
            "COLUMNS": "160",
        }
        return kept | mine | self.environment

    def start(self, sandbox: SandboxProcess, *command: str) -> "subprocess.Popen[str]":
        """Start a module of ours as a user would; `said` returns what it says."""
        with (self.folder / "said.txt").open("w") as said:
            return subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env=self.surroundings(sandbox),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def said(self) -> str:
        """Return what the process that was started last has said."""
        return (self.folder / "said.txt").read_text()

    def run(self, sandbox: SandboxProcess, *command: str) -> str:
        """Run a module of ours; returns what it said. Raises AssertionError where it failed."""
        code = self.start(sandbox, *command).wait(1_800)
        assert code == 0, f"{' '.join(command)}: {self.said()[-3000:]}"
        return self.said()

    def collect(self) -> list[str]:
        """Collect the county of epoch 0 from all offices, as of its day; returns the parcels."""
        county = self.county(0)
        apns = county.apns(self.parcels)
        listed = self.folder / "apns.txt"
        listed.write_text("\n".join(apns) + "\n")
        pace = ("-s", f"MARICOPA_RATE_LIMIT={self.rate}", "-s", "LOG_LEVEL=WARNING")
        with self.sandbox(0) as sandbox:
            self.run(sandbox, "scrapy", "crawl", "roll", *pace)
            self.run(sandbox, "scrapy", "crawl", "affidavits", "-a", "affidavits=download", *pace)
            self.run(sandbox, "scrapy", "crawl", "assessor", "-a", f"apns={listed}", *pace)
            deeds = self.folder / "deeds.txt"
            numbers = self.rows("SELECT deed_number FROM assessor.owner WHERE deed_number IS NOT NULL")
            deeds.write_text("\n".join(number for (number,) in numbers) + "\n")
            self.run(sandbox, "scrapy", "crawl", "documents", "-a", f"recording_numbers={deeds}", *pace)
        self._store_taxes(county, apns)
        self._back_date(noon(0))
        return apns

    def _store_taxes(self, county: County, apns: list[str]) -> None:
        session = Session(self.url)
        try:
            job, _ = ledger.open_job(
                session, "tax", [FollowOn("treasurer", "parcel", apn) for apn in apns], {}, is_sandbox=True
            )
            run = ledger.open_run(session, job, "tax", "treasurer", is_sandbox=True)
            session.transact(lambda cursor: cursor.execute(CREATE_STAGES))
            while targets := ledger.lease(session, run, 500).targets:
                answers = [encode(_answer(county, target), attempts=1) for target in targets]
                session.transact(partial(_store, run=run, answers=answers))
            ledger.close_run(session, run, "finished", {})
        finally:
            session.close()

    def _back_date(self, at: dt.datetime) -> None:
        session = Session(self.url)
        statements = [f"UPDATE {table} SET first_seen_at = %(at)s, changed_at = %(at)s" for table in _DATED]
        statements += [
            "UPDATE crawl.target SET done_at = %(at)s WHERE done_at IS NOT NULL",
            "UPDATE gis.roll SET started_at = %(at)s, finished_at = %(at)s",
        ]
        try:
            for statement in statements:
                session.transact(partial(_execute, statement=statement, at=at))
        finally:
            session.close()


def _store(cursor: Cursor, run: Run, answers: list[Answer]) -> int:
    return store_batch(cursor, run, answers)


def _execute(cursor: Cursor, statement: str, at: dt.datetime) -> None:
    cursor.execute(statement, {"at": at})


def _answer(county: County, target: Target) -> Answer:
    apn = target.key
    known = taxes(county.seed, county.epoch, apn, county.changed)
    lines, situs = identity(county, apn)
    records: list[Record] = [TaxAccount(apn=apn, owner="\n".join(lines) or None, situs_address=situs or None)]
    records += [_bill(apn, bill) for bill in known.bills]
    seen: dict[Any, int] = defaultdict(int)
    for payment in known.payments:
        seen[payment] += 1
        records.append(
            TaxPayment(
                apn=apn, tax_year=payment.tax_year, paid_on=payment.paid_on, description=payment.description,
                amount=_dollars(payment.amount), ordinal=seen[payment],
            )
        )  # fmt: skip
    at = dt.datetime.now(dt.UTC)
    capture = Capture(
        bytes.fromhex(f"{abs(hash(apn)):064x}"), "treasurer", f"sandbox:{apn}", 200, "text/html", at, b"",
        is_kept=False, size=0,
    )  # fmt: skip
    return Answer(target, records=records, complete=[(TaxBill, apn), (TaxPayment, apn)], capture=capture)


def _bill(apn: str, bill: Bill) -> TaxBill:
    first, second = instalments(bill.tax_year, _dollars(bill.assessed))
    return TaxBill(
        apn=apn, tax_year=bill.tax_year, status=_STATUS[bill.status], status_text=bill.status,
        assessed=_dollars(bill.assessed), paid=_dollars(bill.paid), interest=_dollars(bill.interest),
        amount_due=_dollars(bill.due), first_half_until=first, second_half_until=second,
    )  # fmt: skip


def _dollars(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


@dataclass
class Truth:
    """Which parcels' words changed at which office, and which payments the calendar calls due."""

    assessor: set[str]
    recorder: set[str]
    owners: set[str]
    payments: set[str]
    due: set[str]

    @classmethod
    def of(cls, place: Place, sandbox: SandboxProcess, apns: list[str]) -> "Truth":
        told = {
            source: sandbox.changes(len(apns), 0, source) for source in ("assessor", "recorder", "treasurer")
        }
        taxed = told["treasurer"]
        return cls(
            {
                change["apn"]
                for change in told["assessor"]
                if change["table"] == "Valuations" or (change["table"] == "Owner" and change["key"] in _KEYS)
            },
            {change["new"]["recordingNumber"] for change in told["recorder"]},
            {change["apn"] for change in taxed if change["table"] == "Account"},
            {change["apn"] for change in taxed if change["table"] == "Payments"},
            {apn for apn in apns if _is_due(place, apn)},
        )


def _is_due(place: Place, apn: str) -> bool:
    """Whether a bill that was open at first has become, or was, delinquent: by the sandbox's own bills."""
    seen, now = noon(0), noon(1)
    for bill in taxes(place.seed, 0, apn, place.changed).bills:
        if bill.due:
            first, second = instalments(bill.tax_year, _dollars(bill.assessed))
            until = second if second is not None and bill.paid >= bill.assessed // 2 else first
            # Late already: interest is added by the month.
            if (until < seen and seen.month != now.month) or until + dt.timedelta(days=7) <= now:
                return True
    return False


def missed(place: Place, truth: Truth, epoch: int = 1) -> dict[str, set[str]]:
    """Return of each office the parcels, or documents, whose change is not stored."""
    county = place.county(epoch)
    owners = {
        apn: row
        for apn, *row in place.rows("SELECT apn, ownership, deed_number, sale_price FROM assessor.owner")
    }
    values = dict(
        place.rows(
            "SELECT DISTINCT ON (apn) apn, full_cash_value FROM assessor.valuation"
            " ORDER BY apn, tax_year DESC"
        )
    )
    found: dict[str, set[str]] = defaultdict(set)
    for apn in truth.assessor:
        said, held = county.undrawn(apn)[0], owners[apn]
        owner = [None if said["Owner"][name] == "NA" else said["Owner"][name] for name in _KEYS]
        value = said["Valuations"][0]["FullCashValue"]
        if [owner[0], owner[1], owner[2] and int(owner[2])] != held or (
            value != "na" and int(value) != values[apn]
        ):
            found["assessor"].add(apn)
    documents = {number for (number,) in place.rows("SELECT recording_number FROM recorder.document")}
    found["recorder"] = truth.recorder - documents
    accounts = dict(place.rows("SELECT apn, owner FROM treasurer.account"))
    found["owner"] = {
        apn for apn in truth.owners if accounts[apn] != ("\n".join(identity(county, apn)[0]) or None)
    }
    paid = dict(
        place.rows("SELECT apn, sum(amount) FROM treasurer.payment WHERE removed_at IS NULL GROUP BY apn")
    )
    for apn in truth.payments:
        total = sum(payment.amount for payment in taxes(place.seed, epoch, apn, place.changed).payments)
        if paid.get(apn, Decimal(0)) != _dollars(total):
            found["payments due" if apn in truth.due else "payments not due"].add(apn)
    return found


def skipped_and_changed(place: Place, source: str, apns: list[str]) -> tuple[int, int]:
    """Return how many of an office's parcels or documents the rules left out, and how many of these had
    changed in anything that is stored, by the sandbox's own word.
    """
    keys = {key for (key,) in place.rows("SELECT key FROM crawl.not_asked WHERE source = %s", source)}
    if source == "recorder":
        return len(keys), 0
    before, after = place.county(0), place.county(1)
    changed = 0
    for apn in keys & set(apns):
        if source == "assessor":
            changed += bool(after.changes(apn, 0))
        else:
            taxed = [taxes(place.seed, epoch, apn, place.changed) for epoch in (0, 1)]
            changed += taxed[0] != taxed[1] or identity(before, apn) != identity(after, apn)
    return len(keys), changed


def killed_and_resumed(place: Place, sandbox: SandboxProcess, *options: str) -> tuple[int, int]:
    """Run a refresh, killed with its spiders in the bulk sources, at the assessor and at the treasurer;
    returns the job, and how often it was killed. Raises AssertionError where its last process failed.
    """
    (before,) = place.rows("SELECT coalesce(max(id), 0) FROM crawl.job")[0]
    manager = place.start(sandbox, "maricopa_scrapy", "run", "refresh", "-y", *options)
    kills = 0
    while not (jobs := place.rows("SELECT id FROM crawl.job WHERE id > %s", before)):
        assert manager.poll() is None, place.said()
        time.sleep(0.05)
    ((job,),) = jobs
    for source, part in (("gis", 0.0), ("assessor", 0.3), ("treasurer", 0.3)):
        if not _wait(place, job, source, part, manager):
            break
        _kill(place, manager, job)
        kills += 1
        manager = place.start(sandbox, "maricopa_scrapy", "resume", str(job))
    assert manager.wait(3_600) == 0, place.said()
    return job, kills


def _wait(place: Place, job: int, source: str, part: float, manager: "subprocess.Popen[str]") -> bool:
    """Wait until more than a part of an office's targets is done; False where the manager ended first."""
    while manager.poll() is None:
        done, count = place.rows(
            "SELECT count(*) FILTER (WHERE state = 'done'), count(*) FROM crawl.target"
            " WHERE job_id = %s AND source = %s",
            job,
            source,
        )[0]
        if done > part * count:
            return True
        time.sleep(0.02)
    return False


def _kill(place: Place, manager: "subprocess.Popen[str]", job: int) -> None:
    """End a manager and the spiders of its job at once, as a power cut would."""
    manager.kill()
    manager.wait()
    for pid, started in place.rows(
        "SELECT pid, pid_started FROM crawl.run WHERE job_id = %s AND state = 'running'", job
    ):
        try:
            process = psutil.Process(pid)
            if abs(process.create_time() - started) < 1:
                for one in [*process.children(recursive=True), process]:
                    one.kill()
        except psutil.NoSuchProcess:
            continue


def counted(stats: dict[str, Any], source: str, keys: Iterable[str]) -> int:
    """Return how often the server was asked for these."""
    fetched = stats[source]["fetched"]
    return sum(fetched.get(key, 0) for key in keys)
