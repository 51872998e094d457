# The program under test as the cases see it: `postern run`, `postern serve`, and the journal they leave.
import json
import os
import pty
import select
import signal
import sqlite3
import subprocess
import time

from private_host import temp_folder, wait_until, write

def binary():
    """The program under test; run.py and demo.py say which."""
    return os.environ["POSTERN_BINARY"]


def write_old_rows(db, rows, seconds_ago):
    """Refused queries of a time ago, by old_journal.cpp, which is built beside the program under test."""
    program = os.path.join(os.path.dirname(binary()), "tests", "netns", "old_journal")
    subprocess.run([program, db, str(rows), str(seconds_ago)], check=True, timeout=120)


def journal_rows(path, sql, *arguments):
    """Rows of the journal as dictionaries, read as an analyst would: the file, read-only, while it may be in use."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    connection.row_factory = sqlite3.Row
    try:
        # What is on record shows in the view a moment later; what a killed Postern left stays in `unlisted`.
        unlisted = "SELECT 1 FROM unlisted WHERE id <= ? LIMIT 1"
        last = connection.execute("SELECT coalesce(max(id), 0) FROM asked").fetchone()[0]
        deadline = time.monotonic() + 1
        while (left := connection.execute(unlisted, (last,)).fetchone()) and time.monotonic() < deadline:
            time.sleep(0.01)
        if left:
            connection.execute("CREATE TEMP VIEW queries AS SELECT * FROM main.queries UNION ALL"
                               " SELECT * FROM main.unlisted")
        return [dict(row) for row in connection.execute(sql, arguments)]
    finally:
        connection.close()


# For tests whose load is many names: they are about something else than what names can tell.
OPEN_BUDGETS = "budgets: unlimited\n"


class Ran:
    """A finished `postern run`."""

    def __init__(self, done, db):
        self.status, self.out, self.err, self.db = done.returncode, done.stdout, done.stderr, db

    def rows(self, where="1", *arguments):
        return journal_rows(self.db, f"SELECT * FROM queries WHERE {where} ORDER BY id", *arguments)

    def alerts(self):
        return journal_rows(self.db, "SELECT * FROM alerts ORDER BY time")

    def __str__(self):
        return f"exit {self.status}\nstdout: {self.out}\nstderr: {self.err}"


_runs = 0


def new_db():
    """A journal path in a folder of its own: that folder is hidden from the command."""
    global _runs
    _runs += 1
    folder = os.path.join(temp_folder(), f"state{_runs}")
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, "journal.db")


def at_terminal(argv, lines, prompt="> "):
    """What a terminal shows when each line is typed at the next prompt; the last must end the program."""
    ours, its = pty.openpty()
    process = subprocess.Popen(argv, stdin=its, stdout=its, stderr=its, start_new_session=True,
                               env={**os.environ, "TERM": "dumb"})
    os.close(its)
    shown, since = "", 0
    for line in lines:
        while not shown[since:].endswith(prompt):
            if not select.select([ours], [], [], 10)[0]:
                raise AssertionError(f"no prompt: {shown}")
            shown += os.read(ours, 65536).decode(errors="replace").replace("\r", "")
        since = len(shown)
        os.write(ours, line.encode() + b"\n")
    status = process.wait(10)
    os.close(ours)
    if status != 0:
        raise AssertionError(f"status {status}: {shown}")
    return shown


def run_argv(*command, options=(), upstream="192.0.2.1", db=None, quiet=True):
    argv = [binary(), "run", *options, "--db", db]
    if upstream:
        for server in [upstream] if isinstance(upstream, str) else upstream:
            argv += ["--upstream", server]
    return argv + (["--quiet"] if quiet else []) + ["--", *command]


def run(*command, options=(), upstream="192.0.2.1", db=None, quiet=True, timeout=60, stdin=None):
    """`postern run` to its end. The command is started in our temporary folder."""
    db = db or new_db()
    done = subprocess.run(run_argv(*command, options=options, upstream=upstream, db=db, quiet=quiet),
                          text=True, input=stdin,
                          stdin=subprocess.DEVNULL if stdin is None else None, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=timeout, cwd=temp_folder())
    return Ran(done, db)


class Daemon:
    """`postern serve` and its control socket."""

    def __init__(self, policy=None, upstream=("192.0.2.1",), workers=None, alert_exec=None, name="daemon",
                 more=()):
        self.folder = os.path.join(temp_folder(), name)
        os.makedirs(os.path.join(self.folder, "state"), exist_ok=True)
        self.control = os.path.join(self.folder, "control.sock")
        self.db = os.path.join(self.folder, "state", "journal.db")
        self.policy_file = os.path.join(self.folder, "policy.yaml")
        self.log_file = os.path.join(self.folder, "log")
        lines = [f"state: {self.folder}/state", f"control: {self.control}",
                 f"upstream: [{', '.join(map(repr, upstream))}]"]
        if policy is not None:
            write(self.policy_file, policy)
            lines.append(f"policy: {self.policy_file}")
        if workers:
            lines.append(f"workers: {workers}")
        if alert_exec:
            lines.append(f"alert_exec: {alert_exec}")
        lines += more  # further lines of the configuration
        self.config = write(os.path.join(self.folder, "postern.yaml"), "\n".join(lines) + "\n")
        self.process = None
        self.start()

    def start(self):
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen([binary(), "serve", "--config", self.config],
                                            stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)

        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"postern serve ended at its start with {self.process.returncode}: {self.log()}")
            return os.path.exists(self.control) and self.command("ls", check=False).returncode == 0

        wait_until(ready, "postern serve answers `ls`", seconds=15)

    def command(self, verb, *arguments, check=True):
        done = subprocess.run([binary(), verb, "--control", self.control, *arguments], text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=30)
        if check and done.returncode != 0:
            raise RuntimeError(f"postern {verb}: exit {done.returncode}: {done.stdout}{done.stderr}"
                               f"\nlog: {self.log()}")
        return done

    def attach(self, namespace, name=None, session=None, user="tester", code="c0de" * 16, policy=None,
               check=True, more=()):
        """Attaches a private_host.Namespace, or a process id."""
        where = ("--pid", str(namespace)) if isinstance(namespace, int) else ("--netns", namespace.path)
        name = name or namespace.name
        arguments = [*where, "--name", name, "--session", session or f"session-{name}", "--user", user,
                     "--code-hash", code]
        return self.command("attach", *arguments, *(("--policy", policy) if policy else ()), *more,
                            check=check)

    def sandboxes(self):
        return json.loads(self.command("ls", "--json").stdout)

    def rows(self, where="1", *arguments):
        return journal_rows(self.db, f"SELECT * FROM queries WHERE {where} ORDER BY id", *arguments)

    def alerts(self, where="1"):
        return journal_rows(self.db, f"SELECT * FROM alerts WHERE {where} ORDER BY time")

    def read(self, sql, *arguments):
        return journal_rows(self.db, sql, *arguments)

    def log(self):
        with open(self.log_file, errors="replace") as file:
            return file.read()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def pids(self):
        """The broker and everything it started: found by descent from the process that we started."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for task in _tasks(pid):
                try:
                    with open(f"/proc/{pid}/task/{task}/children") as file:
                        todo += [int(child) for child in file.read().split()]
                except FileNotFoundError:
                    pass
        return found

    def kill(self):
        """SIGKILL to both processes, as near to one moment as can be."""
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def stop(self, timeout=15):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)


def _tasks(pid):
    try:
        return os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return []
