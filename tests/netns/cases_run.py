# `postern run` as a shell user meets it: statuses, signals, files; and what the command cannot do to Postern.
import grp
import hashlib
import json
import os
import pwd
import signal
import sqlite3
import subprocess

from cases import case, equal, holds
from little_internet import LittleInternet
from postern_process import Daemon, binary, journal_rows, new_db, run, run_argv
from private_host import Skip, sh, temp_folder, wait_until, write
from recording_upstream import RecordingUpstream


@case("postern run passes exit status, stdin, stdout and stderr through")
def _():
    for command, status in ((("true",), 0), (("false",), 1), (("sh", "-c", "exit 42"), 42),
                            (("sh", "-c", "kill -TERM $$"), 128 + signal.SIGTERM),
                            (("/no/such/program",), 127),
                            (("/etc/passwd",), 126)):
        done = run(*command, upstream="127.0.0.9")
        equal(done.status, status, f"{command}: {done}")
    done = run("sh", "-c", "cat; echo problem >&2", upstream="127.0.0.9", stdin="some input\n")
    equal((done.out, done.err), ("some input\n", "problem\n"), done)


@case("postern run passes signals to the command")
def _():
    script = "trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    process = subprocess.Popen(run_argv("sh", "-c", script, upstream="127.0.0.9", db=new_db()),
                               stdout=subprocess.PIPE, text=True)
    equal(process.stdout.readline(), "ready\n")
    process.send_signal(signal.SIGTERM)
    equal((process.communicate(timeout=20)[0], process.returncode), ("caught\n", 7))


@case("the command finds a resolv.conf that names 127.0.0.1 and nothing but loopback")
def _():
    done = run("sh", "-c",
               "cat /etc/resolv.conf; ls /sys/class/net; cat /proc/net/dev | tail -n +3 | cut -d: -f1; ls /run",
               upstream="127.0.0.9")
    equal(done.status, 0, done)
    holds("nameserver 127.0.0.1\n" in done.out and "options ndots:1" in done.out, done)
    holds("search" not in done.out and "domain" not in done.out, done)
    devices = done.out.split()
    holds("lo" in devices, done)
    equal([line for line in done.out.splitlines() if line.strip() in ("eth0", "v1o", "dns0")], [])
    own = run("/usr/bin/python3", "-c", "import os; print(*os.listdir('/proc/self/fd'))",
              upstream="127.0.0.9")
    equal(own.out.split(), ["0", "1", "2", "3"],
          "descriptors in the command: its three, and the listing itself")


@case("the resolv.conf is right also where the host's is a link that points nowhere")
def _():
    sh("umount", os.path.realpath("/etc/resolv.conf"))
    upper, work = (os.path.join("/run", name) for name in ("upper", "work"))
    os.makedirs(upper), os.makedirs(work)
    sh("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/etc,upperdir={upper},workdir={work}", "/etc")
    os.remove("/etc/resolv.conf")
    for target in ("/run/systemd/resolve/stub-resolv.conf", "../run/nowhere/resolv.conf"):
        os.symlink(target, "/etc/resolv.conf")
        done = run("cat", "/etc/resolv.conf", upstream="127.0.0.9")
        holds("nameserver 127.0.0.1\n" in done.out, f"link to {target}: {done}")
        os.remove("/etc/resolv.conf")


@case("the code hash is the script's where an interpreter runs one, else the program's")
def _():
    LittleInternet()
    digest = lambda path: hashlib.sha256(open(path, "rb").read()).hexdigest()
    script = write(os.path.join(temp_folder(), "ask.py"),
                   "import socket\nsocket.getaddrinfo('www.example.com', None)\n")
    done = run("/usr/bin/python3", script)
    equal({row["code_sha256"] for row in done.rows()}, {digest(script)}, done)
    done = run("getent", "hosts", "www.example.com")
    equal({row["code_sha256"] for row in done.rows()}, {digest("/usr/bin/getent")}, done)


@case("rows carry the session, the user and the sandbox that postern run was given")
def _():
    LittleInternet()
    done = run("getent", "hosts", "v4only.example.com",
               options=("--session", "s-1", "--user", "alice", "--label", "team=red"))
    rows = done.rows()
    holds(rows, done)
    for row in rows:
        equal((row["session"], row["user"]), ("s-1", "alice"), row)
        holds(row["sandbox"], row)
    mode = os.stat(done.db).st_mode & 0o777
    equal(mode, 0o640, "the journal's mode")


@case("allow, block and default on the command line decide, the most specific first")
def _():
    LittleInternet()
    options = ("--default", "block", "--allow", "**.example.net", "--allow", "**.example.com", "--block",
               "v4only.example.com")
    script = ("for n in cdn.example.net v4only.example.com www.example.org;"
              " do getent hosts $n | cut -d' ' -f1; done")
    done = run("sh", "-c", script, options=options)
    equal(done.out.split(), ["93.184.215.31"], done)
    verdicts = {row["name"]: (row["action"], row["reason"]) for row in done.rows()}
    equal(verdicts, {"cdn.example.net": ("allowed", "rule"), "v4only.example.com": ("blocked", "rule"),
                     "www.example.org": ("blocked", "default")})
    wrong = run("true", options=("--block", "a..b"))
    holds(wrong.status not in (0, 1) or "a..b" in wrong.err, wrong)
    holds("a..b" in wrong.err, wrong)


@case("the summary is on stderr, as JSON when asked, and not there when quiet")
def _():
    LittleInternet()
    ask = ("getent", "hosts", "v4only.example.com")
    holds(run(*ask, quiet=False).err.strip(), "no summary")
    equal(run(*ask).err, "", "quiet")
    told = json.loads(run(*ask, quiet=False, options=("--json", "--session", "s-9")).err.splitlines()[-1])
    equal((told["session"], told["counters"]["failed"], told["counters"]["allowed"] > 0), ("s-9", 0, True), told)


_ATTACKS = r"""
import ctypes, os, socket, sys
pids, db, control, host_net = [int(p) for p in sys.argv[1].split(",")], sys.argv[2], sys.argv[3], sys.argv[4]
broken = []
def attempt(what, work):
    try:
        result = work()
    except (OSError, ValueError) as failure:
        return
    broken.append(f"{what}: {result!r}")
def something(file):
    if not file.read(1):
        raise ValueError("an empty file lies over it")
    return "read"
libc = ctypes.CDLL(None, use_errno=True)
def call(function, *arguments):
    if function(*arguments) == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return "done"
for pid in pids + [os.getppid()]:
    if pid in (0, os.getpid(), 1):
        continue
    attempt(f"signal {pid}", lambda: os.kill(pid, 0) or "sent")
    attempt(f"trace {pid}", lambda: call(libc.ptrace, 16, pid, 0, 0))
    attempt(f"descriptors of {pid}", lambda: os.listdir(f"/proc/{pid}/fd"))
    attempt(f"memory of {pid}", lambda: open(f"/proc/{pid}/mem", "rb"))
    attempt(f"namespace of {pid}", lambda: call(libc.setns, os.open(f"/proc/{pid}/ns/net", os.O_RDONLY), 0))
# Nothing visible in /proc may belong to anybody but this command.
others = [p for p in os.listdir("/proc") if p.isdigit() and int(p) not in (1, os.getpid(), os.getppid())]
if others:
    broken.append(f"processes in sight: {others}")
if os.path.exists("/proc/1/exe"):
    attempt("descriptors of process 1", lambda: os.listdir("/proc/1/fd"))
    attempt("trace process 1", lambda: call(libc.ptrace, 16, 1, 0, 0))
for path in (db, db + "-wal", os.path.dirname(db) + "/x"):
    attempt(f"write {path}", lambda: open(path, "r+b" if path != os.path.dirname(db) + "/x" else "wb"))
    attempt(f"read {path}", lambda: something(open(path, "rb")))
def reach_control():
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(control)
    return "connected"
attempt("control socket", reach_control)
attempt("mount", lambda: call(libc.mount, b"none", b"/mnt", b"tmpfs", 0, None))
attempt("new network namespace and back", lambda: call(libc.setns, os.open(host_net, os.O_RDONLY), 0))
attempt("chroot", lambda: os.chroot("/"))
attempt("raw socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 17))
status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
for field in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"):
    if int(status[field], 16):
        broken.append(f"{field} {status[field]}")
if status["NoNewPrivs"] != "1":
    broken.append("no_new_privs is off")
for path in ("/run/dbus/system_bus_socket", "/run/systemd/resolve/io.systemd.Resolve", "/var/run/nscd/socket",
             "/run/planted"):
    if os.path.exists(path):
        broken.append(f"in sight: {path}")
print("\n".join(broken) if broken else "all refused")
"""


def check_confinement(become=()):
    """The attacks from inside a `run`, with a daemon's control socket beside it; `become` is a setpriv prefix."""
    daemon = Daemon(upstream=("127.0.0.9",))
    write("/run/planted", "")
    script = write(os.path.join(temp_folder(), "attack.py"), _ATTACKS)
    db = new_db()
    if become:
        os.chmod(os.path.dirname(db), 0o777)
    # The pids are those outside, where the attacker might hope that they mean something: first ours, then Postern's.
    script_argv = ["/usr/bin/python3", script, ",".join(map(str, [os.getpid(), *daemon.pids()])), db,
                   daemon.control, "/proc/1/ns/net"]
    done = subprocess.run([*become, *run_argv(*script_argv, upstream="127.0.0.9", db=db)], text=True,
                          stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, cwd="/")
    equal((done.returncode, done.stdout.strip()), (0, "all refused"), done.stderr)


@case("the command cannot signal, trace, read or rewrite Postern, nor return to the host's namespace")
def _():
    check_confinement()


def ordinary_user():
    """A setpriv prefix for a user without rights, with subordinate uids if the host gives it any."""
    try:
        uid = pwd.getpwnam("nobody").pw_uid
        gid = grp.getgrnam("nogroup").gr_gid
    except KeyError:
        raise Skip("no user nobody") from None
    prefix = ("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--inh-caps=-all")
    probe = subprocess.run([*prefix, "unshare", "-Urn", "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        raise Skip(f"an ordinary user cannot make namespaces here: {probe.stderr.strip()}")
    for folder in _folders_above(binary()):
        if subprocess.run([*prefix, "test", "-x", folder]).returncode != 0:
            raise Skip(f"an ordinary user cannot reach {binary()}: {folder}")
    return prefix


def _folders_above(path):
    while path != "/":
        path = os.path.dirname(path)
        yield path


@case("without root postern run resolves, records, and says that the record is not protected")
def _():
    LittleInternet()
    prefix, db = ordinary_user(), new_db()
    os.chmod(os.path.dirname(db), 0o777)
    argv = run_argv("getent", "hosts", "v4only.example.com", db=db, quiet=False)
    done = subprocess.run([*prefix, *argv], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE,
                          timeout=60, cwd="/", env={**os.environ, "HOME": "/nonexistent"})
    equal(done.returncode, 0, done)
    holds(done.stdout.startswith("93.184.215.15"), done)
    rows = journal_rows(db, "SELECT name, action FROM queries ORDER BY id")
    holds(rows and all(row["action"] == "allowed" for row in rows), rows)
    holds("not protected" in done.stderr, done.stderr)


@case("nothing is left behind when postern run or its command is killed")
def _():
    marker = "sleep 98765"
    for victim in ("postern", "command"):
        process = subprocess.Popen(run_argv("sh", "-c", "echo ready; sleep 98765", upstream="127.0.0.9",
                                            db=new_db()),
                                   stdout=subprocess.PIPE, text=True)
        equal(process.stdout.readline(), "ready\n")
        sleepers = lambda: [int(p) for p in os.listdir("/proc") if p.isdigit() and _command_line(p) == marker]
        wait_until(sleepers, "the command is there")
        if victim == "postern":
            process.kill()
        else:
            os.kill(sleepers()[0], signal.SIGKILL)
        process.wait(20)
        wait_until(lambda: not sleepers(), f"the command is gone after the death of {victim}")
        wait_until(lambda: not [p for p in os.listdir("/proc") if p.isdigit()
                                and _command_line(p).startswith(binary())],
                   f"Postern is gone after the death of {victim}")


def _command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read().replace("\0", " ").strip()
    except OSError:
        return ""


@case("the resolver process cannot execute, open files or make internet sockets")
def _():
    # From outside: what the kernel says of it. Inside, the unit tests of the cell try each call.
    upstream = RecordingUpstream()
    daemon = Daemon(upstream=(upstream.text,))
    broker, *workers = daemon.pids()
    holds(workers, "one process only: no broker beside the resolver")
    for pid in workers:
        with open(f"/proc/{pid}/status") as file:
            status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
        equal((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), pid)
        equal({int(status[f], 16) for f in ("CapEff", "CapPrm", "CapInh", "CapAmb")}, {0},
              f"capabilities of {pid}")
        holds(int(status["Uid"].split()[0]) != 0, f"{pid} runs as root")
        holds(os.readlink(f"/proc/{pid}/root") != "/", f"{pid} sees the whole file system")


@case("run --db on a file that is no journal refuses and leaves it and its folder as they were")
def _():
    folder = os.path.join(temp_folder(), "precious")
    os.makedirs(folder)
    text = write(os.path.join(folder, "notes.txt"), "not a database\n" * 500)
    database = os.path.join(folder, "other.db")
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE theirs (a)")
    connection.executemany("INSERT INTO theirs VALUES (?)", [(n,) for n in range(5000)])
    connection.commit()
    connection.close()
    before = {}
    for path in (text, database):
        os.chmod(path, 0o600)
        with open(path, "rb") as file:
            before[path] = (os.stat(path).st_uid, os.stat(path).st_mode, file.read())
    for path in (text, database):
        done = run("true", upstream="127.0.0.9", db=path)
        equal(done.status, 125, done)
        holds(path in done.err, done)
        with open(path, "rb") as file:
            equal((os.stat(path).st_uid, os.stat(path).st_mode, file.read()) == before[path], True, path)
    equal(sorted(os.listdir(folder)), ["notes.txt", "other.db"])


@case("commands started at once without --db each get a journal of their own")
def _():
    sh("mount", "-t", "tmpfs", "tmpfs", "/var/lib")
    RecordingUpstream("127.0.0.9")
    argv = [binary(), "run", "--quiet", "--upstream", "127.0.0.9", "--", "getent", "hosts", "www.example.com"]
    quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    started = [subprocess.Popen(argv, **quiet) for _ in range(5)]
    ended = [(*process.communicate(timeout=60), process.returncode) for process in started]
    equal([status for _, _, status in ended], [0] * 5, ended)
    journals = [name for name in sorted(os.listdir("/var/lib/postern")) if name.endswith(".db")]
    rows = sum(len(journal_rows(f"/var/lib/postern/{name}", "SELECT * FROM queries")) for name in journals)
    holds(rows >= 5, f"{rows} rows in {journals}")
