# Alerts on their way: hooks that are down, slow, refuse or die, and a Postern that is killed in between.
import json
import os

from cases import case, equal, holds
from dns_client import ask_udp
from postern_process import Daemon, journal_rows, run
from private_host import Namespace, temp_folder, wait_until, write
from recording_upstream import RecordingUpstream

FIRST_QUERY = "alert_on_first_query: true\n"  # each sandbox's first question is an alert


class Program:
    """An alert program that notes each alert it is given, and then does what the file `mood` says."""

    def __init__(self, mood):
        self.folder = os.path.join(temp_folder(), "told")
        os.makedirs(self.folder, exist_ok=True)
        self.set(mood)
        self.path = write(os.path.join(temp_folder(), "tell"),
                          f"#!/bin/sh\nfile=$(mktemp {self.folder}/.XXXXXX) && cat > $file\n"
                          f"mv $file {self.folder}/$(date +%s%N)-$$\n. {temp_folder()}/mood\n", 0o755)

    def set(self, mood):
        write(os.path.join(temp_folder(), "next-mood"), mood + "\n")
        os.rename(os.path.join(temp_folder(), "next-mood"), os.path.join(temp_folder(), "mood"))

    def told(self):
        found = []
        for file in sorted(os.listdir(self.folder)):
            if not file.startswith("."):
                with open(os.path.join(self.folder, file)) as text:
                    found.append(json.load(text))
        return found


def deliveries(daemon, where="1"):
    return daemon.read(f"SELECT * FROM alert_deliveries WHERE {where} ORDER BY id")


def first_question(daemon, name):
    """Attaches a namespace and asks its first question, which is answered whatever hooks do."""
    box = Namespace(name)
    daemon.attach(box)
    equal(ask_udp("www.example.com", netns=box.path).rcode_name, "NOERROR")
    return box


@case("an alert program that is down is told of each alert once it is up, with the same id, after a kill", seconds=90)
def _():
    upstream, program = RecordingUpstream(), Program("exit 75")
    daemon = Daemon(policy=FIRST_QUERY, upstream=(upstream.text,), alert_exec=program.path)
    for i in range(3):
        first_question(daemon, f"box{i}")
    wait_until(lambda: deliveries(daemon, "attempts > 0 AND status = 75"), "a failed attempt on record")
    daemon.kill()
    before = {row["alert_uid"] for row in deliveries(daemon)}
    equal(len(before), 3)
    program.set("exit 0")
    daemon.start()
    wait_until(lambda: len(deliveries(daemon, "state = 'delivered'")) == 3, "all are told", seconds=30)
    told = program.told()
    equal({alert["id"] for alert in told}, before, "nothing else was told")
    equal({alert["id"] for alert in daemon.read("SELECT uid AS id FROM alerts")}, before)
    holds(len(told) > 3, "attempts before the kill were made with the same ids")
    for alert in told:
        equal([a for a in told if a["id"] == alert["id"] and a != alert], [], "one id, one text")
    row = deliveries(daemon)[0]
    equal((row["status"], row["error"], row["kind"]), (0, "", "first_query"), row)
    daemon.stop()


@case("an alert program that hangs slows no answer, and what it held when all were killed is told again")
def _():
    upstream, program = RecordingUpstream(), Program("exec sleep 1000")
    daemon = Daemon(policy=FIRST_QUERY, upstream=(upstream.text,), alert_exec=program.path)
    first_question(daemon, "first")
    wait_until(lambda: len(program.told()) == 1, "the program hangs")
    second = first_question(daemon, "second")
    for i in range(20):
        equal(ask_udp(f"www{i}.example.com", netns=second.path).rcode_name, "NOERROR")
    wait_until(lambda: len(program.told()) == 2, "the second alert is told beside it")
    daemon.kill()
    program.set("exit 0")
    daemon.start()
    wait_until(lambda: len(deliveries(daemon, "state = 'delivered'")) == 2, "both are told again")
    ids = [alert["id"] for alert in program.told()]
    equal(sorted(ids[:2]), sorted(ids[2:]), "the same ids")
    daemon.stop()


@case("a program's exit status is on record: what it refuses is not told again, what cannot run is")
def _():
    upstream, program = RecordingUpstream(), Program("exit 3")
    daemon = Daemon(policy=FIRST_QUERY, upstream=(upstream.text,), alert_exec=program.path)
    first_question(daemon, "refused")
    row = wait_until(lambda: deliveries(daemon, "state = 'failed'"), "the refusal is on record")[0]
    equal((row["status"], row["error"], row["attempts"]), (3, "exit status 3", 1), row)
    os.chmod(program.path, 0o644)
    first_question(daemon, "unreadable")
    row = wait_until(lambda: deliveries(daemon, "status = 127"), "it could not be executed")[0]
    equal(row["state"], "pending", row)
    program.set("exit 0")
    os.chmod(program.path, 0o755)
    wait_until(lambda: deliveries(daemon, "state = 'delivered'"), "it is told after all")
    equal(len(program.told()), 2)
    daemon.stop()


@case("run tells its alert program of an alert that its last question raised, and writes down how it ended")
def _():
    program, folder = Program("exit 0"), temp_folder()
    policy = write(os.path.join(folder, "p.yaml"), FIRST_QUERY)
    upstream = RecordingUpstream()
    done = run("getent", "hosts", "www.example.com", upstream=upstream.text,
               options=("--policy", policy, "--alert-exec", program.path))
    equal(done.status, 0, done)
    equal(len(program.told()), 1)
    rows = journal_rows(done.db, "SELECT * FROM alert_deliveries ORDER BY id")
    equal([(row["state"], row["status"]) for row in rows], [("delivered", 0)], rows)
