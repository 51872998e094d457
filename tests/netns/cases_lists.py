# Lists of names: read by the daemon through its broker, kept compiled, reloaded under load, refused when they are bad.
import gzip
import json
import os
import subprocess
import threading

from cases import case, equal, holds
from dns_client import ask_tcp, ask_udp
from postern_process import Daemon, binary, run
from private_host import Namespace, temp_folder, wait_until, write
from recording_upstream import RecordingUpstream

MILLION = 1_000_000


def folder(name="daemon"):
    path = os.path.join(temp_folder(), name)
    os.makedirs(path, exist_ok=True)
    return path


def metrics(daemon):
    done = subprocess.run(["curl", "-sS", "--max-time", "20", "--unix-socket", daemon.control,
                           "http://localhost/metrics"], capture_output=True, text=True)
    equal(done.returncode, 0, done.stderr)
    return dict(line.rsplit(" ", 1) for line in done.stdout.splitlines() if not line.startswith("#"))


def big_list(path, *extra):
    with open(path + ".new", "w", encoding="ascii") as file:
        file.writelines(f"n{number}.list{number % 977}.example\n" for number in range(MILLION))
        file.writelines(f"{name}\n" for name in extra)
    os.rename(path + ".new", path)


@case("lists in four formats block, allow, rewrite and drop, over UDP and TCP, and the row names the list")
def _():
    where = folder()
    write(f"{where}/domains.txt", "# plain\nwww.plain.com\n**.wide.com\n*.below.com\n")
    write(f"{where}/hosts", "0.0.0.0 www.hosts.com\n198.18.7.7 www.own.com\n")
    with gzip.open(f"{where}/ads.txt.gz", "wt") as file:
        file.write("! adblock\n||ads.com^\n@@||good.ads.com^\n||third.com^$third-party\n")
    write(f"{where}/zone.rpz", "$TTL 60\n@ SOA localhost. root.localhost. 1 2 3 4 5\n@ NS localhost.\n"
                               "drop.com CNAME rpz-drop.\nempty.com CNAME *.\n32.34.216.184.93.rpz-ip CNAME .\n")
    upstream = RecordingUpstream()
    daemon = Daemon(policy="lists: [domains.txt, hosts, ads.txt.gz, zone.rpz]\n", upstream=(upstream.text,))
    inside = Namespace("inside")
    daemon.attach(inside)
    for name, rcode in (("wide.com", "NXDOMAIN"), ("x.www.plain.com", "NOERROR"), ("below.com", "NOERROR"),
                        ("a.b.below.com", "NXDOMAIN"), ("x.ads.com", "NXDOMAIN"),
                        ("good.ads.com", "NOERROR"), ("third.com", "NOERROR"), ("empty.com", "NOERROR")):
        for how in (ask_udp, ask_tcp):
            equal(how(name, netns=inside.path).rcode_name, rcode, name)
    for name in ("www.plain.com", "www.hosts.com"):  # exactly these: names below are allowed, so the answer is empty
        for how in (ask_udp, ask_tcp):
            reply = how(name, netns=inside.path)
            equal((reply.rcode_name, reply.texts("A")), ("NOERROR", []), name)
        equal({r["action"] for r in daemon.rows(f"name = '{name}'")}, {"blocked"}, name)
    own = ask_udp("www.own.com", netns=inside.path)
    equal(own.texts("A"), ["198.18.7.7"], "local data of a hosts line")
    equal(len(ask_udp("empty.com", netns=inside.path).texts("A")), 0)
    for how in (ask_udp, ask_tcp):
        try:
            how("drop.com", netns=inside.path, timeout=1)
            raise AssertionError(f"{how.__name__}: a dropped query was answered")
        except OSError:
            pass
    equal({(r["action"], r["reason"], r["rule"]) for r in daemon.rows("name = 'x.ads.com'")},
          {("blocked", "list", f"{daemon.policy_file}:1:29 list ads.txt.gz: block")})
    equal({r["action"] for r in daemon.rows("name = 'drop.com'")}, {"dropped"})
    equal(upstream.queries("drop.com") + upstream.queries("x.ads.com"), [], "forwarded all the same")
    equal(metrics(daemon)['postern_list_skipped_lines{list="ads.txt.gz"}'], "1")


@case("a bad list keeps the policy in force and says why in the log, in ls and as a metric", seconds=120)
def _():
    where = folder()
    write(f"{where}/ads.txt", "**.www.listed.com\n")
    upstream = RecordingUpstream()
    daemon = Daemon(policy="lists: [ads.txt]\n", upstream=(upstream.text,))
    inside = Namespace("inside")
    daemon.attach(inside)
    verdict = lambda: ask_udp("www.listed.com", netns=inside.path).rcode_name
    equal(verdict(), "NXDOMAIN")
    equal(metrics(daemon)["postern_policy_last_load_successful"], "1")

    def a_fifo(path):
        os.mkfifo(path)

    def a_link(path):
        write(f"{where}/../outside.txt", "www.other.com\n")
        os.symlink("../outside.txt", path)

    failed = 0
    for what, make, why in (
            ("binary", lambda path: write(path, "\x7fELF\x00\x01\x02"), "ads.txt"),
            ("a directory", os.mkdir, "not a plain file"),
            ("a FIFO", a_fifo, "not a plain file"),
            ("a link that leads out", a_link, "leads out of the folder"),
            ("missing", lambda path: None, "No such file"),
            ("empty", lambda path: write(path, ""), "ads.txt")):
        path = f"{where}/ads.txt"
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        elif os.path.lexists(path):
            os.unlink(path)
        make(path)
        done = daemon.command("reload", check=False)
        failed += 1
        holds(done.returncode != 0 and "policy.yaml:1:9: " in done.stderr and why in done.stderr, f"{what}: {done}")
        equal(verdict(), "NXDOMAIN", f"under the old policy: {what}")
        holds("the old one is in force" in daemon.command("ls").stdout, what)
        seen = metrics(daemon)
        equal((seen["postern_policy_last_load_successful"], seen['postern_policy_loads_total{result="failure"}']),
              ("0", str(failed)), what)
    holds(daemon.log().count("the old one stays") >= failed, daemon.log())
    write(f"{where}/ads.txt", "www.other.com\n")
    daemon.command("reload")
    equal(verdict(), "NOERROR", "under the mended list")
    equal(metrics(daemon)["postern_policy_last_load_successful"], "1")


@case("a list of a million names is reloaded under load: no query is lost, none is answered by a mix", seconds=240)
def _():
    where = folder()
    list_file = f"{where}/names.txt"
    first, second = "first.moving.com", "second.moving.com"
    big_list(list_file, first)
    upstream = RecordingUpstream()
    daemon = Daemon(policy="lists: [names.txt]\nallow: ['www.asked.com']\n", upstream=(upstream.text,))
    inside = Namespace("inside")
    daemon.attach(inside)
    last = f"n{MILLION - 1}.list{(MILLION - 1) % 977}.example"
    equal(ask_udp(last, netns=inside.path).texts("A"), [], "the last line")
    holds(ask_udp("m" + last, netns=inside.path).texts("A"), "no line")
    stop, failures, count = threading.Event(), [], [0]

    def load():
        while not stop.is_set():
            try:
                equal(ask_udp("www.asked.com", netns=inside.path, timeout=4).rcode_name, "NOERROR")
                count[0] += 1
            except Exception as failure:
                failures.append(repr(failure))

    loader = threading.Thread(target=load, daemon=True)
    loader.start()
    is_blocked = lambda name: not ask_udp(name, netns=inside.path).texts("A")
    try:
        for old, new in ((first, second), (second, first)):
            big_list(list_file, new)
            daemon.reload()
            while True:
                # Asked in this order, an open `old` is the new list's word, and then `new` must be blocked.
                is_old_blocked, is_new_blocked = is_blocked(old), is_blocked(new)
                holds(is_old_blocked or is_new_blocked, "a mix: neither the old list's name nor the new one's")
                if not is_old_blocked:
                    break
        equal(metrics(daemon)['postern_list_entries{list="names.txt"}'], str(MILLION + 1))
    finally:
        stop.set()
        loader.join()
    equal(failures[:3], [], f"{len(failures)} of {count[0]} lookups")
    holds(count[0] > 0, "nothing was asked meanwhile")


@case("a compiled list is used again, and one that somebody else has written is not")
def _():
    where = folder()
    write(f"{where}/names.txt", "**.www.listed.com\n")
    upstream = RecordingUpstream()
    daemon = Daemon(policy="lists: [names.txt]\n", upstream=(upstream.text,))
    cache = f"{where}/state/lists"
    kept = os.listdir(cache)
    equal(len(kept), 1, cache)
    stat = os.stat(f"{cache}/{kept[0]}")
    equal(stat.st_mode & 0o777, 0o600, "mode of the compiled list")
    holds(stat.st_uid != 0, "the resolver process owns it")
    image = open(f"{cache}/{kept[0]}", "rb").read()
    verdict = lambda: ask_udp("www.listed.com", netns=inside.path).rcode_name
    inside = Namespace("inside")
    daemon.attach(inside)

    def used_again():
        before = os.stat(f"{cache}/{kept[0]}").st_ino
        daemon.command("reload")
        return os.stat(f"{cache}/{kept[0]}").st_ino == before

    # While a file is younger than 2 s its times prove nothing: what it holds is looked at, and the image renewed.
    wait_until(used_again, "the compiled list is used as it stands", seconds=20)
    for what, octets, owner in (("cut off", image[:-9], stat.st_uid), ("changed", image[:-9] + b"x" * 9, stat.st_uid),
                                ("empty", b"", stat.st_uid), ("somebody else's", image, 12345)):
        os.unlink(f"{cache}/{kept[0]}")
        with open(f"{cache}/{kept[0]}", "wb") as file:
            file.write(octets)
        os.chown(f"{cache}/{kept[0]}", owner, owner)
        os.chmod(f"{cache}/{kept[0]}", 0o600)
        daemon.command("reload")
        equal(verdict(), "NXDOMAIN", what)
        mended = os.stat(f"{cache}/{kept[0]}")
        equal((mended.st_uid, mended.st_size), (stat.st_uid, stat.st_size), f"{what}: written anew")
    write(f"{where}/names.txt", "www.listex.com\n")  # of the same length
    daemon.command("reload")
    equal(verdict(), "NOERROR", "a changed list")


@case("postern run reads lists, too, and without a daemon's folder")
def _():
    where = folder("lists")
    write(f"{where}/ads.txt", "**.www.listed.com\n")
    policy = write(f"{where}/policy.yaml", "lists: [ads.txt]\n")
    upstream = RecordingUpstream()
    done = run("sh", "-c", "getent hosts www.listed.com; getent hosts www.other.com", options=("--policy", policy),
               upstream=upstream.text)
    equal([(row["name"], row["action"], row["reason"]) for row in done.rows() if row["type"] == "AAAA"],
          [("www.listed.com", "blocked", "list"), ("www.other.com", "allowed", "default")], done)
    bad = run("true", options=("--policy", write(f"{where}/bad.yaml", "lists: [/etc/none/ads.txt]\n")),
              upstream=upstream.text)
    holds(bad.status == 125 and "bad.yaml:1:9: " in bad.err and "/etc/none" in bad.err, bad)
