"""A window that stays alive while its worker thread collects: progress comes through a queue that the window
reads.

python examples/gui_thread.py   (without tkinter, or without a display, lines stand for the window)
"""

import importlib.util
import os
import queue
import threading
from collections.abc import Callable

from maricopa_scrapy.database import embedded
from maricopa_scrapy.jobs.manager import JobManager
from maricopa_scrapy.ledger.progress import JobProgress
from maricopa_scrapy.machine.private_files import default_data_dir
from maricopa_scrapy.sandbox.county.county import County
from maricopa_scrapy.sandbox.process import SandboxProcess

_LOOK_EVERY_MS = 100


def work(apns: list[str], told: "queue.Queue[JobProgress | None]") -> None:
    """The worker: nothing of the window is touched here, and whatever happens ends with None."""
    try:
        database = embedded.start(default_data_dir() / "examples")
        fast = {"MARICOPA_RATE_LIMIT": "20"}
        with SandboxProcess() as county, JobManager(database, sandbox=county.url, settings=fast) as manager:
            told.put(manager.wait(manager.submit(apns, on_progress=told.put)))
    finally:
        told.put(None)


def show_in_a_window(told: "queue.Queue[JobProgress | None]") -> None:
    import tkinter
    from tkinter import ttk

    window = tkinter.Tk()
    window.title("maricopa")
    bar, text = ttk.Progressbar(window, length=300), ttk.Label(window)
    bar.pack(padx=20, pady=10)
    text.pack(pady=10)

    def look() -> None:
        for status in _waiting(told):
            if status is None:
                window.destroy()
                return
            bar["maximum"], bar["value"] = status.counts.total, status.counts.total - status.counts.open
            text["text"] = f"{status.counts.done} of {status.counts.total} parcels, {status.word}"
        window.after(_LOOK_EVERY_MS, look)

    look()
    window.mainloop()


def show_as_lines(told: "queue.Queue[JobProgress | None]") -> None:
    while (status := told.get()) is not None:
        print(f"{status.counts.done} of {status.counts.total} parcels, {status.word}")


def _waiting(told: "queue.Queue[JobProgress | None]") -> list[JobProgress | None]:
    return [told.get_nowait() for _ in range(told.qsize())]


def main() -> None:
    told: queue.Queue[JobProgress | None] = queue.Queue()
    threading.Thread(target=work, args=(County().apns(20), told)).start()
    has_window = importlib.util.find_spec("tkinter") and os.environ.get("DISPLAY")
    show: Callable[[queue.Queue[JobProgress | None]], None] = (
        show_in_a_window if has_window else show_as_lines
    )
    show(told)


if __name__ == "__main__":
    main()
