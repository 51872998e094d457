# What the daemon keeps of its journal, who may read it, and copies of it while it is written.
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import threading

from cases import case, equal, holds
from dns_client import ask_udp
from postern_process import Daemon, binary, write_old_rows
from private_host import Namespace, in_namespace, temp_folder, wait_until, write

ADM = 4  # a group of every Debian
SIZE = 16 << 20  # the least that journal_keep takes


def postern(*words, **options):
    return subprocess.run([binary(), *words], capture_output=True, text=True, timeout=120, **options)


def flood(inside, count, prefix):
    """So many names that policy refuses, by dnsperf: each is a row of its own."""
    names = write(os.path.join(temp_folder(), f"{prefix}.names"),
                  "".join(f"{prefix}{i:06d}.blocked.example A\n" for i in range(count)))
    done = in_namespace(inside.path, lambda: subprocess.run(
        ["dnsperf", "-s", "127.0.0.1", "-d", names, "-n", "1", "-c", "4"], capture_output=True, text=True, timeout=120))
    equal(done.returncode, 0, done)


@case("a journal that is larger than its size loses its oldest queries while it is written, and stays whole and sealed")
def _():
    daemon = Daemon(policy="block: ['**.blocked.example']\non_tunnel: alert\n", more=["journal_keep: {size: 16MiB}"])
    equal(daemon.stop(), 0)
    write_old_rows(daemon.db, 200000, 3600)
    inside = Namespace("box")
    daemon.start()
    daemon.attach(inside)
    journal = lambda: json.loads(daemon.command("status").stdout)["journal"]
    before = journal()
    holds(before["used_octets"] > SIZE, before)
    # Each answer that is given while queries go has its own row.
    record, asked, beside = sqlite3.connect(f"file:{daemon.db}?mode=ro", uri=True), 0, 0
    while before["used_octets"] > SIZE:
        holds(asked < 20000, before)
        for _ in range(10):
            name = f"beside{asked}.blocked.example"
            equal(ask_udp(name, netns=inside.path, timeout=10).rcode, 3)
            rows = record.execute("SELECT name FROM on_record ORDER BY id DESC LIMIT 3").fetchall()
            holds((name,) in rows, f"{name} was answered without a row")
            asked += 1
        after = journal()
        beside += after["pruned_rows"] > before["pruned_rows"]
        before = after
    record.close()
    holds(beside > 0 and before["pruned_rows"] > 20000, (beside, before))
    equal(before["prune_error"], "")
    equal(daemon.stop(), 0)
    verified = postern("journal", "verify", daemon.db)
    holds(verified.returncode == 0 and "consistent" in verified.stdout, verified)
    stats = json.loads(postern("journal", "stats", daemon.db, "--json").stdout)
    holds(stats["tombstones"] > 0 and stats["pruned_until"], stats)
    equal(daemon.read("SELECT count(*) AS n FROM on_record WHERE name LIKE 'beside%'"), [{"n": asked}])
    equal(daemon.read("PRAGMA foreign_key_check"), [])


@case("a backup that is made while the daemon writes is whole, sealed, and written over nothing", seconds=120)
def _():
    daemon, inside = Daemon(policy="block: ['**.blocked.example']\non_tunnel: alert\n"), Namespace("box")
    daemon.attach(inside)
    writing = threading.Thread(target=flood, args=(inside, 30000, "n"))
    writing.start()
    wait_until(lambda: daemon.read("SELECT 1 FROM on_record LIMIT 1"), "the first row")
    copy = os.path.join(temp_folder(), "copy.db")
    done = postern("journal", "backup", copy, "--db", daemon.db)
    writing.join()
    equal(done.returncode, 0, done)
    equal(stat.S_IMODE(os.stat(copy).st_mode), 0o640)
    verified = postern("journal", "verify", copy)
    holds(verified.returncode == 0 and "consistent" in verified.stdout, verified)
    rows = int(json.loads(postern("sql", "--json", "--db", copy, "SELECT count(*) AS n FROM on_record").stdout)[0]["n"])
    holds(0 < rows <= 30000, rows)
    again = postern("journal", "backup", copy, "--db", daemon.db)
    holds(again.returncode != 0 and f'"{copy}"' in again.stderr, again)


@case("the audit group may read the journal, others may not, also after it was begun anew")
def _():
    daemon = Daemon(policy="block: ['**.blocked.example']\n", more=["audit_group: adm"])
    daemon.stop()
    shutil.rmtree(os.path.dirname(daemon.db))  # made by the daemon itself, as /var/lib/postern is
    daemon.start()
    inside = Namespace("box")
    daemon.attach(inside)

    def count(*groups):
        found = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", *groups,
                                binary(), "sql", "--json", "--db", daemon.db, "SELECT count(*) AS n FROM on_record"],
                               capture_output=True, text=True, timeout=30)
        return json.loads(found.stdout)[0]["n"] if found.returncode == 0 else found.stderr

    def check(rows):
        for suffix in ("", "-wal", "-shm"):
            about = os.stat(daemon.db + suffix)
            equal((about.st_gid, stat.S_IMODE(about.st_mode)), (ADM, 0o640), suffix)
        equal(count("--groups", str(ADM)), rows)
        holds("Permission denied" in str(count("--clear-groups")), "a user of another group read it")

    ask_udp("one.blocked.example", netns=inside.path)
    check(1)
    os.remove(daemon.db)
    wait_until(lambda: ask_udp("two.blocked.example", netns=inside.path, timeout=10).rcode == 3 and
               os.path.exists(daemon.db), "a new journal", seconds=30)
    wait_until(lambda: daemon.read("SELECT 1 FROM on_record"), "a row of it")
    check(daemon.read("SELECT count(*) AS n FROM on_record")[0]["n"])
    daemon.stop()
    write(daemon.config, open(daemon.config).read().replace("audit_group: adm", "audit_group: nobody-has-it"))
    refused = postern("serve", "--config", daemon.config, "--check-config")
    holds(refused.returncode != 0 and ':5:' in refused.stderr and '"nobody-has-it"' in refused.stderr, refused)
