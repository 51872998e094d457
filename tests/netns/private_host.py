# A private host: the test's own network, mount and process namespaces, gone with everything in them when it ends.
#
# The whole test re-executes itself inside. Nothing has to be cleaned up: when process 1 of the new process namespace
# ends, or is killed, the kernel kills the rest and drops interfaces, mounts and namespaces. So tests run in parallel.
import atexit
import ctypes
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

_MARK = "POSTERN_PRIVATE_HOST"
SKIPPED = 77  # CTest's SKIP_RETURN_CODE
FOLDER_SIZE = "512m"  # of the temporary folder: a runaway journal fails the case, not the machine


class Skip(Exception):
    """The machine cannot run this case; loud, and a failure under POSTERN_MUST_WORK=1."""


def skip_status(why):
    print(f"SKIPPED: {why}", flush=True)
    return 1 if os.environ.get("POSTERN_MUST_WORK") == "1" else SKIPPED


def sh(*argv, check=True, **options):
    """Runs a command; its output is part of the error when it fails."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}: {done.stdout.strip()}")
    return done


def enter():
    """Returns inside the private host; ends the process with a skip where namespaces cannot be made."""
    if os.environ.pop(_MARK, None) == "inside":
        _furnish()
        return
    if os.geteuid() != 0:
        sys.exit(skip_status("network namespaces need root"))
    flags = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation",
             "private"]
    probe = subprocess.run(["unshare", *flags, "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        sys.exit(skip_status(f"unshare: {probe.stderr.strip()}"))
    os.environ[_MARK] = "inside"
    os.execvp("unshare", ["unshare", *flags, sys.executable, *sys.argv])


def _furnish():
    """Loopback up, an empty /run, a resolv.conf of our own."""
    sh("ip", "link", "set", "lo", "up")
    real = os.path.realpath("/etc/resolv.conf")
    sh("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run")
    folder = temp_folder()
    own = os.path.join(folder, "resolv.conf")
    write(own, "nameserver 127.0.0.1\n")
    if not os.path.exists(real):  # it was a link into the /run that has just been covered
        os.makedirs(os.path.dirname(real), exist_ok=True)
        write(real, "")
    sh("mount", "--bind", own, real)


_folder = None


def temp_folder():
    """This test's folder: a file system in memory, so that nothing is left of it but an empty folder even after a kill.
    Everybody may read it, since sandboxed commands are other users."""
    global _folder
    if _folder is None:
        _folder = tempfile.mkdtemp(prefix="postern-netns-")
        atexit.register(_remove, _folder)
        sh("mount", "-t", "tmpfs", "-o", f"mode=0755,size={FOLDER_SIZE}", "tmpfs", _folder)
    return _folder


def _remove(folder):
    subprocess.run(["umount", "--lazy", folder], stderr=subprocess.DEVNULL)
    try:
        os.rmdir(folder)
    except OSError:
        pass


def write(path, text, mode=0o644):
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


class Namespace:
    """A further network namespace with loopback up; `ip netns` knows it by name (in our own /run)."""

    def __init__(self, name):
        self.name = name
        self.path = f"/run/netns/{name}"
        sh("ip", "netns", "add", name)
        sh("ip", "-n", name, "link", "set", "lo", "up")

    def connect(self, number, public_route=True):
        """A veth pair to the host: 10.64.N.1 outside, 10.64.N.2 inside, and a route to everything."""
        outside, inside = f"v{number}o", f"v{number}i"
        sh("ip", "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", self.name)
        sh("ip", "addr", "add", f"10.64.{number}.1/24", "dev", outside)
        sh("ip", "link", "set", outside, "up")
        sh("ip", "-n", self.name, "addr", "add", f"10.64.{number}.2/24", "dev", inside)
        sh("ip", "-n", self.name, "link", "set", inside, "up")
        if public_route:
            sh("ip", "-n", self.name, "route", "add", "default", "via", f"10.64.{number}.1")

    def argv(self, *argv):
        """The command inside. It sees the private host's resolv.conf, which names 127.0.0.1."""
        return ["nsenter", f"--net={self.path}", *argv]

    def run(self, *argv, timeout=30, **options):
        return subprocess.run(self.argv(*argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=timeout, **options)

    def popen(self, *argv, **options):
        return subprocess.Popen(self.argv(*argv), **options)

    def delete(self):
        sh("ip", "netns", "delete", self.name)

    def socket(self, family, kind):
        """A socket of this process that lives in that namespace."""
        return in_namespace(self.path, lambda: socket.socket(family, kind))


def in_namespace(path, make):
    """Calls `make` on a thread of its own inside the network namespace at `path`; this process stays where it is."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = []

    def work():
        with open(path) as file:
            if libc.setns(file.fileno(), 0x40000000) != 0:  # CLONE_NEWNET
                result.append(OSError(ctypes.get_errno(), f"setns {path}"))
                return
        try:
            result.append(make())
        except BaseException as error:  # handed to the caller's thread
            result.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


def wait_until(condition, what, seconds=10.0):
    """Asks until `condition` gives something true, and returns it; fails, naming `what`, after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


def fill_disk(folder):
    """Fills a small tmpfs; returns the file to remove."""
    path = os.path.join(folder, "filler")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(descriptor, b"x" * 4096):
            pass
    except OSError:
        os.close(descriptor)
    return path
