# What policy does besides refusing: a command is frozen, let go on, killed; and what happens where it cannot be.
import json
import os
import signal
import sqlite3
import subprocess

from cases import case, equal, holds
from dns_client import ask_udp
from postern_process import Daemon, binary, journal_rows, new_db, run_argv
from private_host import Namespace, Skip, sh, temp_folder, wait_until, write
from recording_upstream import RecordingUpstream

# Asks names until one is refused, and then says each tenth of a second that it is alive.
TALKER = r"""
import os, socket, sys, time
if os.fork() == 0:
    while True:
        open(sys.argv[1] + "/child", "w").write(str(time.monotonic()))
        time.sleep(0.02)
for i in range(60):
    try:
        socket.getaddrinfo(os.urandom(20).hex() + ".example.net", 80)
    except OSError:  # refused: asking on would spend what is spent, and be acted on once more
        break
while True:
    open(sys.argv[1] + "/parent", "w").write(str(time.monotonic()))
    time.sleep(0.02)
"""


class Talker:
    """`postern run` of the program above under a policy that acts when a budget is spent."""

    def __init__(self, action, *options):
        self.folder = os.path.join(temp_folder(), "beats")
        os.makedirs(self.folder)
        os.chmod(self.folder, 0o777)
        script = write(os.path.join(temp_folder(), "talker.py"), TALKER)
        policy = write(os.path.join(temp_folder(), "p.yaml"), f"on_tunnel: alert\non_budget: {action}\n")
        self.upstream, self.db = RecordingUpstream(), new_db()
        argv = run_argv("/usr/bin/python3", script, self.folder, options=("--policy", policy, *options),
                        upstream=self.upstream.text, db=self.db, quiet=False)
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, cwd=temp_folder())

    def beat(self):
        """What both processes have written last."""
        beats = []
        for name in ("parent", "child"):
            try:
                with open(os.path.join(self.folder, name)) as file:
                    beats.append(file.read())
            except FileNotFoundError:
                beats.append("")
        return beats

    def alert(self):
        try:
            found = journal_rows(self.db, "SELECT * FROM alerts WHERE kind = 'leak'")
        except sqlite3.OperationalError:  # not made yet
            return None
        return found[0] if found else None

    def end(self):
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, err


def still(talker, times=5):
    """Both processes' beats stand still: as often as a running one would have changed them."""
    before = talker.beat()
    sh("sleep", str(0.1 * times))
    return talker.beat() == before


def with_cgroup():
    """cgroup v2 where Postern looks for it; this host's own may be the older one."""
    mounted = sh("mount", "-t", "cgroup2", "none", "/mnt", check=False)
    if mounted.returncode != 0:
        raise Skip(f"cgroup v2 cannot be mounted: {mounted.stdout.strip()}")


def without_cgroup():
    """No cgroup v2 to be seen, whatever this host has."""
    for line in open("/proc/self/mountinfo").read().splitlines():
        if " - cgroup2 " in line:
            sh("umount", "-l", line.split()[4])


def check_killed():
    talker = Talker("kill")
    status, err = talker.end()
    equal(status, 137, err)
    holds("postern: the command was killed (budget: example.net)" in err, err)
    alert = talker.alert()
    equal((alert["action"], alert["zone"], alert["severity"]), ("kill", "example.net", "high"), alert)


@case("a command that spends its budget under on_budget kill ends with 137, and the summary and the alert say why")
def _():
    without_cgroup()
    check_killed()


@case("a command is killed by its control group where there is cgroup v2, and the group is gone afterwards")
def _():
    with_cgroup()
    groups = lambda: {name for _, folders, _ in os.walk("/mnt") for name in folders if name.startswith("postern-run-")}
    own = [line.split("::")[1].strip().strip("/") for line in open("/proc/self/cgroup") if line.startswith("0::")][0]
    old, young, foreign = (os.path.join("/mnt", own, name)
                           for name in ("postern-run-0old", "postern-run-0young", "postern-0foreign"))
    for left in (old, young, foreign):  # as a `run` that somebody killed leaves its own
        os.mkdir(left)
    try:
        for left in (old, foreign):
            os.utime(left, (1, 1))
        before = groups()
        check_killed()
        holds(not groups() - before, "the group of this run was left behind")
        equal([os.path.exists(left) for left in (old, young, foreign)], [False, True, True],
              "of earlier groups only the old, empty one goes")
    finally:
        for left in (old, young, foreign):
            if os.path.exists(left):
                os.rmdir(left)


def check_frozen():
    talker = Talker("freeze")
    wait_until(talker.alert, "the alert", seconds=20)
    equal(talker.alert()["action"], "freeze")
    wait_until(lambda: still(talker, 2), "it stands still")
    holds(still(talker), "a frozen command went on")
    holds(talker.process.poll() is None, "run goes on waiting")
    talker.process.send_signal(signal.SIGCONT)
    wait_until(lambda: not still(talker, 1), "it goes on after SIGCONT")
    talker.process.send_signal(signal.SIGTERM)
    status, err = talker.end()
    holds("the command is frozen (budget: example.net)" in err, err)
    equal(status, 143, err)


@case("a command that policy freezes stands still with all its processes, and goes on when it is told to")
def _():
    without_cgroup()
    check_frozen()


@case("a command is frozen by its control group where there is cgroup v2")
def _():
    with_cgroup()
    check_frozen()


@case("a frozen command that is told to end is killed, since it could not hear")
def _():
    talker = Talker("freeze")
    wait_until(talker.alert, "the alert", seconds=20)
    wait_until(lambda: still(talker, 2), "it stands still")
    talker.process.send_signal(signal.SIGTERM)
    status, err = talker.end()
    equal(status, 137, err)


@case("the daemon freezes what run started, thaw lets it go on, and what is only attached is quarantined instead")
def _():
    upstream = RecordingUpstream()
    daemon = Daemon(policy="policies: {default: {on_tunnel: alert, on_budget: freeze}}\n", upstream=(upstream.text,))
    folder = os.path.join(temp_folder(), "beats")
    os.makedirs(folder)
    os.chmod(folder, 0o777)
    script = write(os.path.join(temp_folder(), "talker.py"), TALKER)
    with open(os.path.join(temp_folder(), "run.log"), "wb") as log:
        process = subprocess.Popen([binary(), "run", "--control", daemon.control, "--name", "talker", "--session",
                                    "talk", "--", "/usr/bin/python3", script, folder], stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, cwd=temp_folder())
    beat = lambda: [open(os.path.join(folder, name)).read() for name in os.listdir(folder)]
    wait_until(lambda: daemon.alerts("action = 'freeze'"), "the alert", seconds=20)

    def stands_still():
        before = beat()
        sh("sleep", "0.2")
        return beat() == before
    wait_until(stands_still, "it stands still")
    holds(stands_still(), "a frozen command went on")
    daemon.command("thaw", "talker")
    wait_until(lambda: not stands_still(), "it goes on")
    process.send_signal(signal.SIGTERM)
    equal(process.wait(20), 143)

    attached = Namespace("attached")
    daemon.attach(attached)
    for _ in range(20):
        ask_udp(os.urandom(20).hex() + ".example.net", netns=attached.path)
    alert = daemon.alerts("sandbox = 'attached' AND kind = 'leak'")[0]
    equal(alert["action"], "quarantine", alert)
    evidence = json.loads(alert["evidence"])
    equal(evidence["action_wanted"], "freeze", evidence)
    holds(evidence["action_error"], evidence)
    equal(ask_udp("www.example.com", netns=attached.path).rcode_name, "NXDOMAIN")
    holds("postern thaw attached" in daemon.command("ls").stdout, "ls says what lifts it")
    daemon.command("thaw", "attached")  # nothing of it was frozen: its session asks again
    equal(ask_udp("www.example.com", netns=attached.path).rcode_name, "NOERROR")
    daemon.stop()
