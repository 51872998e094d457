# Attacks of a sandboxed command on Postern and the host: tries each, prints "name outcome" a line, harms nothing.
"""Usage: python3 sandbox_attack.py JSON

JSON: {"supervisor": PID, "resolver": PID, "init": PID (1 in a sandbox), "journal": FILE, "open_journal": FILE,
"hidden": FOLDER, "socket": PATH, "run_socket": PATH, "host_proc": FOLDER, "netns_file": PATH, "block_device": PATH,
"rt_signal": N, "control": false}

Outcomes: `done` (the attack works), an errno's name (refused; ENOTRECOVERABLE: the attack could not be tried), or
`absent` (this kernel has no such thing: only told where the attacker has every right). The same file is run outside by
root as the control: there each attack must say `done`.
"""
import ctypes
import errno
import json
import os
import signal
import socket
import sys
import tempfile

libc = ctypes.CDLL(None, use_errno=True)
target = json.loads(sys.argv[1])

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
MNT_DETACH, MS_BIND = 2, 4096
OPEN_TREE_CLONE = 1
SYS = {"x86_64": {"io_uring_setup": 425, "keyctl": 250, "pidfd_open": 434, "open_tree": 428},
       "aarch64": {"io_uring_setup": 425, "keyctl": 219, "pidfd_open": 434, "open_tree": 428}}[os.uname().machine]


def call(function, *arguments):
    """A C function that returns -1 and errno."""
    ctypes.set_errno(0)
    result = function(*arguments)
    if result == -1:
        raise OSError(ctypes.get_errno(), "")
    return result


def open_and_close(path, flags):
    os.close(os.open(path, flags))


def append(path):
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, b"forged")
    os.close(descriptor)


def trace(pid):
    call(libc.ptrace, PTRACE_ATTACH, pid, None, None)
    os.waitpid(pid, 0x40000000)  # __WALL
    call(libc.ptrace, PTRACE_DETACH, pid, None, None)


def enter(path, kind=0):
    """In a child: a namespace cannot be left again."""
    descriptor = os.open(path, os.O_RDONLY)
    in_child(lambda: call(libc.setns, descriptor, kind))
    os.close(descriptor)


def in_child(attack):
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            attack()
        except OSError as refusal:
            code = refusal.errno
        os.write(write_end, code.to_bytes(4, "little"))
        os._exit(0)
    os.close(write_end)
    code = int.from_bytes(os.read(read_end, 4), "little")
    os.close(read_end)
    os.waitpid(pid, 0)
    if code:
        raise OSError(code, "")


def with_namespaces(attack):
    """In a user and mount namespace of the attacker's own, where it has every capability."""
    def whole():
        uid, gid = os.getuid(), os.getgid()
        call(libc.unshare, CLONE_NEWUSER | CLONE_NEWNS)
        with open("/proc/self/setgroups", "w") as file:
            file.write("deny")
        with open("/proc/self/gid_map", "w") as file:
            file.write(f"0 {gid} 1")
        with open("/proc/self/uid_map", "w") as file:
            file.write(f"0 {uid} 1")
        try:  # the rights are really there: without this, a failure would prove nothing
            call(libc.mount, b"tmpfs", os.fsencode(own), b"tmpfs", 0, None)
            unmount(own)
        except OSError:
            raise OSError(errno.ENOTRECOVERABLE, "") from None
        attack(own)
    own = tempfile.mkdtemp()
    try:
        in_child(whole)
    finally:
        os.rmdir(own)


def unmount(path):
    call(libc.umount2, os.fsencode(path), MNT_DETACH)


def bind_parent(path, at):
    """What lies under a cover shows when its parent is bound elsewhere without the mounts below."""
    call(libc.mount, os.fsencode(os.path.dirname(path)), os.fsencode(at), None, MS_BIND, None)


def clone_parent(path):
    os.close(call(libc.syscall, SYS["open_tree"], -100, os.fsencode(os.path.dirname(path)), OPEN_TREE_CLONE))


def overlay_parent(path, at):
    options = f"lowerdir={os.path.dirname(path)}:{at}"
    call(libc.mount, b"overlay", os.fsencode(at), b"overlay", 0, os.fsencode(options))


def make_memory_device():
    path = f"/tmp/attack-mem-{os.getpid()}"
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 1))
    os.unlink(path)


def connect(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.connect(path)


def bind_port(kind):
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 1023))


def become_root():
    in_child(lambda: os.setresuid(0, 0, 0))


def type_into_terminal(request=0x5412):  # TIOCSTI
    """Into the attacker's own controlling terminal, which is what the kernel lets anybody do (unless
    dev.tty.legacy_tiocsti is 0); the filter does not care whose it is."""
    def whole():
        os.setsid()
        main, other = os.openpty()
        call(libc.ioctl, other, ctypes.c_ulong(0x540E), 0)  # TIOCSCTTY
        call(libc.ioctl, other, ctypes.c_ulong(request), b"x")
    in_child(whole)


def type_with_high_bits():
    """The kernel takes the low 32 bits of a request."""
    type_into_terminal(0x100005412)


def signal_group():
    number = target["rt_signal"]
    signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    os.kill(0, number)


def key():
    call(libc.syscall, SYS["keyctl"], 0, -2, 1)


def ring():
    parameters = ctypes.create_string_buffer(120)
    os.close(call(libc.syscall, SYS["io_uring_setup"], 1, parameters))


def vsock():
    socket.socket(40, socket.SOCK_STREAM).close()


def packets():
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()


supervisor, resolver, proc = target["supervisor"], target["resolver"], target["host_proc"]
attacks = {
    "kill-supervisor": lambda: os.kill(supervisor, 0),
    "kill-resolver": lambda: os.kill(resolver, 0),
    "pidfd-supervisor": lambda: os.close(call(libc.syscall, SYS["pidfd_open"], supervisor, 0)),
    "trace-resolver": lambda: trace(resolver),
    "read-fds": lambda: os.readlink(f"/proc/{resolver}/fd/0"),
    "read-fds-by-another-proc": lambda: os.readlink(f"{proc}/{resolver}/fd/0"),
    "supervisor-root-by-another-proc": lambda: os.listdir(f"{proc}/{supervisor}/root/"),
    "supervisor-memory-by-another-proc": lambda: open_and_close(f"{proc}/{supervisor}/mem", os.O_RDWR),
    "enter-net-by-another-proc": lambda: enter(f"{proc}/{supervisor}/ns/net"),
    "write-hidden-journal": lambda: append(target["journal"]),
    "write-open-journal": lambda: append(target["open_journal"]),
    "enter-net": lambda: enter(f"/proc/{target['init']}/ns/net"),
    "enter-mounts": lambda: enter(f"/proc/{target['init']}/ns/mnt"),
    "enter-pids": lambda: enter(f"/proc/{target['init']}/ns/pid"),
    "enter-net-by-file": lambda: enter(target["netns_file"]),
    "unmount-hidden": lambda: unmount(target["hidden"]),
    "unmount-hidden-in-own-namespace": lambda: with_namespaces(lambda own: unmount(target["hidden"])),
    "bind-under-hidden": lambda: with_namespaces(lambda own: bind_parent(target["hidden"], own)),
    "clone-under-hidden": lambda: with_namespaces(lambda own: clone_parent(target["hidden"])),
    "overlay-under-hidden": lambda: with_namespaces(lambda own: overlay_parent(target["hidden"], own)),
    "memory-device": make_memory_device,
    "memory-device-in-own-namespace": lambda: with_namespaces(lambda own: make_memory_device()),
    "block-device": lambda: open_and_close(target["block_device"], os.O_RDONLY),
    "core-pattern": lambda: open_and_close("/proc/sys/kernel/core_pattern", os.O_WRONLY),
    "chroot": lambda: in_child(lambda: os.chroot("/")),
    "become-root": become_root,
    "connect-hidden-socket": lambda: connect(target["socket"]),
    "connect-name-service-socket": lambda: connect(target["run_socket"]),
    "take-udp-port": lambda: bind_port(socket.SOCK_DGRAM),
    "take-tcp-port": lambda: bind_port(socket.SOCK_STREAM),
    "sniff": packets,
    "type-into-terminal": type_into_terminal,
    "type-into-terminal-with-high-bits": type_with_high_bits,
    "keyring": key,
    "io-uring": ring,
    "vsock": vsock,
    "signal-group": signal_group,
}
# Where a right is not what is missing.
ABSENT = {"keyring": ("ENOSYS",), "io-uring": ("ENOSYS", "EPERM"), "vsock": ("EAFNOSUPPORT",),
          "type-into-terminal": ("EIO",), "type-into-terminal-with-high-bits": ("EIO",)}
for name, attack in attacks.items():
    try:
        attack()
        outcome = "done"
    except OSError as refusal:
        outcome = errno.errorcode.get(refusal.errno, str(refusal.errno))
        if target.get("control") and outcome in ABSENT.get(name, ()):
            outcome = "absent"
    print(name, outcome, flush=True)
