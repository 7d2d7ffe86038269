"""Claims on a machine's or a cluster's resources: they queue, in their order, and those of the dead are void."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from raypipe.core.admission import Admission, Files
from raypipe.core.errors import ConfigError, TimedOut


def quiet(text: str) -> None: ...


def test_what_fits_goes_at_once_and_what_does_not_queues(tmp_path: Path):
    admission = Admission("here", {"CPU": 2.0}, Files("here", tmp_path))
    order: list[str] = []
    told: list[str] = []

    def work(name: str, cpus: float) -> None:
        with admission.admitted(name, {"CPU": cpus}, 30, time.sleep, told.append):
            order.append(f"{name} begins")
            time.sleep(0.3)
            order.append(f"{name} ends")

    threads = []
    for name, cpus in (("a", 2.0), ("b", 2.0), ("c", 1.0)):
        threads.append(threading.Thread(target=work, args=(name, cpus)))
        threads[-1].start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert order == [f"{name} {what}" for name in "abc" for what in ("begins", "ends")]
    assert told[0] == f"waits for 2 CPUs of here: a (process {os.getpid()}) holds 2 CPUs"
    assert admission.book.claims() == []


def test_the_deadline_names_who_holds_what(tmp_path: Path):
    admission = Admission("here", {"CPU": 2.0, "GPU": 1.0}, Files("here", tmp_path))
    with (
        admission.admitted("step 'a' of run 1", {"CPU": 1.0, "GPU": 1.0}, 1, time.sleep, quiet),
        pytest.raises(TimedOut, match=r"waits for 1 GPU of here: step 'a' of run 1 \(process \d+\) holds 1 CPU, 1 GPU\. Its deadline"),
        admission.admitted("step 'b' of run 1", {"GPU": 1.0}, 0.2, time.sleep, quiet),
    ):
        pass
    assert admission.book.claims() == []


def test_more_than_there_is_in_all_is_refused_with_the_figures(tmp_path: Path):
    with pytest.raises(ConfigError) as error:
        Admission("this machine", {"CPU": 4.0}, Files("this machine", tmp_path)).refuse("execution.train", {"CPU": 64, "GPU": 1})
    assert str(error.value) == (
        "execution.train: asks for 64 CPUs, and there are 4 CPUs in all; asks for 1 GPU, and there are 0 GPUs in all (this machine)."
    )


HOLD = """
import sys, time
from pathlib import Path
from raypipe.core.admission import Admission, Files
with Admission("here", {"CPU": 1.0}, Files("here", Path(sys.argv[1]))).admitted("other", {"CPU": 1.0}, None, time.sleep, print):
    print("holds", flush=True)
    time.sleep(60)
"""


def test_another_process_counts_as_long_as_it_lives(tmp_path: Path):
    admission = Admission("here", {"CPU": 1.0}, Files("here", tmp_path))
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "holds\n"
        (claim,) = admission.book.claims()
        assert (claim.who, claim.pid, claim.holds) == ("other", other.pid, True)
        other.kill()
    with admission.admitted("mine", {"CPU": 1.0}, 0, time.sleep, quiet):
        assert [c.who for c in admission.book.claims()] == ["mine"]


def test_who_holds_it_and_is_stopped_is_named_with_what_to_do(tmp_path: Path):
    admission = Admission("here", {"CPU": 1.0}, Files("here", tmp_path))
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "holds\n"
        other.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, other.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            expected = rf"other \(process {other.pid}, which is stopped: continue it with kill -CONT {other.pid}, or end it\) holds 1 CPU"
            with pytest.raises(TimedOut, match=expected), admission.admitted("mine", {"CPU": 1.0}, 0.1, time.sleep, quiet):
                pass
        finally:
            other.kill()


def test_who_is_stopped_while_it_looks_at_the_claims_keeps_nobody_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("raypipe.core.admission.TURN_S", 0.2)
    files = Files("here", tmp_path)
    assert files.claims() == []
    with (files.folder / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TimedOut, match=rf"process {os.getpid()} has held .*/lock for 0.2 s\. If it is stopped \(Ctrl-Z\)"):
            files.claims()


def test_a_folder_that_others_may_write_to_or_that_cannot_be_made_is_refused(tmp_path: Path):
    for folder, words in ((tmp_path / "open", "others may write to it"), (tmp_path / "file", "not a directory|file exists")):
        folder.mkdir() if folder.name == "open" else folder.write_text("")
        folder.chmod(0o777)
        files = Files("here", folder)
        with pytest.raises(ConfigError, match=rf"(?s)claims on here cannot be kept: .*({words})\. Set RAYPIPE_RUNTIME"):
            files.claims()


def test_a_claim_whose_file_was_cleaned_away_or_cut_short_stops_nobody(tmp_path: Path):
    files = Files("here", tmp_path)
    admission = Admission("here", {"CPU": 1.0}, files)
    with admission.admitted("a", {"CPU": 0.5}, 1, time.sleep, quiet):
        (path,) = files.folder.glob("[0-9]*")
        path.write_bytes(b"{")
        assert admission.book.claims() == []

    def clean(seconds: float) -> None:
        for path in files.folder.glob("[0-9]*"):
            path.unlink()

    with (
        admission.admitted("a", {"CPU": 1.0}, 1, time.sleep, quiet),
        admission.admitted("b", {"CPU": 1.0}, 1, clean, quiet),
    ):
        pass


def test_shares_that_add_up_to_one_fit(tmp_path: Path):
    admission = Admission("here", {"GPU": 1.0}, Files("here", tmp_path))
    with contextlib.ExitStack() as stack:
        for name, share in zip("abcd", (0.1, 0.1, 0.1, 0.7), strict=True):
            stack.enter_context(admission.admitted(name, {"GPU": share}, 0, time.sleep, quiet))
        assert len(admission.book.claims()) == 4
