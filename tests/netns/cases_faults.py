# The journal's file taken away, locked, filled and damaged under a running daemon: what clients see, and who is told.
import json
import os
import sqlite3
import subprocess

from cases import case, equal, holds
from dns_client import ask_udp
from postern_process import OPEN_BUDGETS, Daemon, binary
from private_host import Namespace, fill_disk, sh, temp_folder, wait_until
from recording_upstream import RecordingUpstream

_numbers = iter(range(1, 100000))


def ask_new(inside):
    """Asks for a name that nobody asked for before."""
    name = f"www.n{next(_numbers)}.com"
    return name, ask_udp(name, netns=inside.path, timeout=10)


def answered_again(inside):
    return wait_until(lambda: (lambda name, reply: reply.rcode == 0 and name)(*ask_new(inside)), "an answer again",
                      seconds=20)


def on_record(daemon, name):
    return daemon.read("SELECT sandbox, session, name FROM on_record WHERE name = ?", name)


def give_folder(daemon):
    """The state folder to the service user, as the default one is: or nothing can be made in it."""
    owner = os.stat(daemon.db)
    os.chown(os.path.dirname(daemon.db), owner.st_uid, owner.st_gid)


@case("a journal that is deleted under the daemon costs an answer or two, and a new one knows who asks")
def _():
    upstream = RecordingUpstream()
    daemon, inside = Daemon(policy=OPEN_BUDGETS, upstream=(upstream.text,)), Namespace("inside")
    daemon.attach(inside, session="evening")
    give_folder(daemon)
    equal(ask_new(inside)[1].rcode_name, "NOERROR")
    for suffix in ("", "-wal", "-shm"):
        os.remove(daemon.db + suffix)
    name, reply = ask_new(inside)
    equal(reply.rcode_name, "SERVFAIL", "the first after it")
    holds(reply.ede() is not None, "no extended error")
    equal(upstream.queries(name), [], "it was forwarded without a record")
    name = answered_again(inside)
    equal([(row["sandbox"], row["session"]) for row in on_record(daemon, name)], [("inside", "evening")])
    status = json.loads(daemon.command("status").stdout)["journal"]
    equal((status["new_files"], status["writable"], status["outages"]), (1, True, 1), status)
    gaps = daemon.read("SELECT refused, answered, why FROM gaps")
    holds(len(gaps) == 1 and gaps[0]["refused"] >= 1 and "deleted" in gaps[0]["why"], gaps)
    equal(daemon.log().count("from now on the journal cannot be written"), 1, daemon.log())
    equal(daemon.stop(), 0)
    equal(on_record(daemon, name)[0]["sandbox"], "inside", "after a clean end")


@case("a journal that another program has locked refuses queries, says so in ls, and goes on when it is free")
def _():
    upstream = RecordingUpstream()
    daemon, inside = Daemon(policy=OPEN_BUDGETS, upstream=(upstream.text,)), Namespace("inside")
    daemon.attach(inside)
    locker = sqlite3.connect(daemon.db, isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        name, reply = ask_new(inside)
        equal(reply.rcode_name, "SERVFAIL")
        equal(upstream.queries(name), [], "it was forwarded without a record")
    said = daemon.command("ls").stdout
    holds("the journal cannot be written since" in said and "locked" in said, said)
    locker.execute("ROLLBACK")
    locker.close()
    name = answered_again(inside)
    holds(on_record(daemon, name), "no row")
    holds("cannot be written" not in daemon.command("ls").stdout, "ls still complains")


@case("with audit relaxed a full disk costs no answer, and the journal says how many it does not have")
def _():
    upstream = RecordingUpstream()
    inside = Namespace("inside")
    state = os.path.join(temp_folder(), "daemon", "state")
    os.makedirs(state)
    sh("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", state)
    daemon = Daemon(policy=OPEN_BUDGETS, upstream=(upstream.text,), more=("audit: relaxed",))
    daemon.attach(inside)
    filler = fill_disk(state)

    def unrecorded():
        name, reply = ask_new(inside)
        equal(reply.rcode_name, "NOERROR", name)
        return json.loads(daemon.command("status").stdout)["journal"]["answered_unrecorded"] >= 5

    wait_until(unrecorded, "answers without a record", seconds=60)
    said = daemon.command("ls").stdout
    holds("answered without a record (audit: relaxed)" in said, said)
    os.remove(filler)
    wait_until(lambda: on_record(daemon, answered_again(inside)), "a record again", seconds=20)
    gaps = wait_until(lambda: daemon.read("SELECT refused, answered, why FROM gaps ORDER BY id"), "a gap")
    status = json.loads(daemon.command("status").stdout)
    equal(sum(gap["answered"] for gap in gaps), status["journal"]["answered_unrecorded"], gaps)
    equal(status["audit"], "relaxed")
    # Killed while the disk is full: the next one says what is missing.
    before = status["journal"]["answered_unrecorded"]
    filler = fill_disk(state)
    wait_until(lambda: unrecorded() and json.loads(daemon.command("status").stdout)["journal"][
        "answered_unrecorded"] >= before + 5, "answers without a record", seconds=60)
    total = json.loads(daemon.command("status").stdout)["journal"]["answered_unrecorded"]
    recorded = lambda: sum(gap["answered"] for gap in daemon.read("SELECT answered FROM gaps"))

    def noted():
        words = open(daemon.db + ".lock", errors="replace").read().split()
        return int(words[4]) if words[:1] == ["gap"] else 0

    # A disk that is almost full may have taken a part of it already.
    wait_until(lambda: recorded() + noted() == total, "a note of what is on no record")
    daemon.kill()
    os.remove(filler)
    daemon.start()
    equal((recorded(), noted()), (total, 0))


@case("a damaged journal is set aside at the start, and what is not a journal is refused before the first query")
def _():
    upstream = RecordingUpstream()
    daemon, inside = Daemon(policy=OPEN_BUDGETS, upstream=(upstream.text,)), Namespace("inside")
    daemon.attach(inside)
    equal(ask_new(inside)[1].rcode_name, "NOERROR")
    give_folder(daemon)
    equal(daemon.stop(), 0)
    with open(daemon.db, "r+b") as file:
        file.seek(100)
        file.write(b"Z" * 1000)
    with open(daemon.db, "rb") as file:
        damaged = file.read()
    daemon.start()
    aside = [name for name in os.listdir(os.path.dirname(daemon.db)) if ".corrupt-" in name and "-wal" not in name]
    equal(len(aside), 1, aside)
    with open(os.path.join(os.path.dirname(daemon.db), aside[0]), "rb") as file:
        equal(file.read() == damaged, True, "it was left as it is")
    daemon.attach(inside)
    holds(on_record(daemon, answered_again(inside)), "no row in the new one")
    equal(daemon.stop(), 0)
    for suffix in ("-wal", "-shm"):
        os.remove(daemon.db + suffix)
    with open(daemon.db, "wb") as file:
        file.write(b"these are my notes")
    refused = subprocess.run([binary(), "serve", "--config", daemon.config], text=True, capture_output=True,
                             timeout=20)
    holds(refused.returncode != 0 and "it is not an SQLite file" in refused.stderr, refused)
    with open(daemon.db, "rb") as file:
        equal(file.read(), b"these are my notes")
