#!/usr/bin/env python3
# House rules: reads the sources as text and says where the house is not as docs/ARCHITECTURE.md describes it.
"""Usage: house_rules.py ROOT | house_rules.py --self-test

Text, not a compiler: an include behind a macro would get past it. What it reads it reads whole, though, and the
self-test plants one fault per rule in a small clean house and demands that exactly that rule speaks.
"""
import re
import sys
import tempfile
from pathlib import Path

# Who may include whom. `std <- rules <- detect <- resolver <- main`; within resolver/, journal and sandbox do not know
# each other, path knows both, control knows all. Headers directly in resolver/ belong to the whole of resolver/.
MAY_INCLUDE = {
    "rules": {"rules"},
    "detect": {"rules", "detect"},
    "resolver/journal": {"rules", "detect", "resolver", "resolver/journal"},
    "resolver/sandbox": {"rules", "resolver", "resolver/sandbox"},
    "resolver/courier": {"rules", "resolver", "resolver/sandbox", "resolver/courier"},
    "resolver/path": {"rules", "detect", "resolver", "resolver/journal", "resolver/sandbox", "resolver/path"},
    "resolver/control": {"rules", "detect", "resolver", "resolver/journal", "resolver/sandbox", "resolver/path",
                         "resolver/courier", "resolver/control"},
    "resolver": {"rules", "detect", "resolver", "resolver/journal", "resolver/sandbox", "resolver/path",
                 "resolver/courier", "resolver/control"},
}

# One owner per C library (and for the two C++ ones that could spread): header -> where it may be included.
OWNERS = [
    (r"ares(_\w+)?\.h", r"resolver/path/"),
    (r"ldns/.*", r"resolver/path/wire\w*\."),
    (r"sqlite3(ext)?\.h", r"resolver/journal/"),
    (r"libpsl\.h", r"rules/public_suffix\.cpp$"),
    (r"idn2\.h", r"rules/idn\.cpp$"),
    (r"re2/.*", r"rules/regex\.cpp$"),
    (r"zlib\.h", r"rules/gunzip\.cpp$"),
    (r"sys/mman\.h", r"rules/large_octets\.cpp$|resolver/|tests/|bench/"),
    (r"pcap(/.*|\.h)", r"resolver/control/replay\w*\."),
    (r"seccomp\.h|linux/seccomp\.h|sys/capability\.h|linux/capability\.h", r"resolver/sandbox/"),
    (r"openssl/ssl\.h|boost/asio/ssl.*", r"resolver/courier/"),
    (r"yaml-cpp/.*", r"rules/|resolver/config\w*\.|resolver/control/"),
]

# rules/ and detect/ only compute: no files, sockets, threads, logs; a clock's time is an argument. <sys/random.h> is
# let through: hash tables need a key that a sandbox cannot guess; and <sys/mman.h> where large blocks get their memory.
IMPURE_HEADERS = re.compile(
    r"(iostream|fstream|filesystem|thread|mutex|condition_variable|future|unistd\.h|fcntl\.h|signal\.h|pthread\.h"
    r"|sys/(?!random|mman)\w+\.h|netdb\.h|spdlog/.*|boost/asio.*|boost/beast.*)$")
IMPURE_CALLS = re.compile(r"\b\w*_clock::now\(|\b(std::)?time\((nullptr|NULL|0)\)|\bclock_gettime\(|\bgetenv\(")

MAX_COLUMNS = 120  # characters; clang-format aims at 110
MAX_LINES = 600    # a file near 400 lines usually holds two ideas; past 600 it surely does
# Files over MAX_LINES that were there before the rule: path -> lines it may have. May only shrink; an entry that is no
# longer needed is itself a fault.
LONG_FILES: dict[str, int] = {}

# Host names of package registries have no place in code, tests or prose. In pieces, so that this file keeps the rule.
REGISTRIES = [".".join(parts) for parts in (
    ("deb", "debian", "org"), ("security", "debian", "org"), ("archive", "ubuntu", "com"), ("pypi", "org"),
    ("files", "pythonhosted", "org"), ("registry", "npmjs", "org"), ("registry", "yarnpkg", "com"),
    ("crates", "io"), ("rubygems", "org"), ("proxy", "golang", "org"), ("sum", "golang", "org"),
    ("repo", "maven", "apache", "org"), ("repo1", "maven", "org"))]
REGISTRY = re.compile(r"(?<![\w-])(" + "|".join(re.escape(host) for host in REGISTRIES) + r")(?![\w-])", re.I)

TOP_LEVEL = {"CMakeLists.txt", "CMakePresets.json", "README.md", "LICENSE", "dev", "resolver", "detect", "rules",
             "tests", "bench", "docs"}  # and dot files
# As in .gitignore.
UNTRACKED = {"build", "__pycache__", ".git", ".cache", "compile_commands.json", "CMakeUserPresets.json"}

COMMENT = {".h": "//", ".hpp": "//", ".inc": "//", ".cpp": "//", ".cc": "//", ".c": "//", ".js": "//",
           ".mjs": "//", ".java": "//", ".py": "#", ".sh": "#", ".cmake": "#", ".sql": "--"}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
BIGGEST_TEXT = 4 << 20  # octets; larger files are data, not source or prose


def comment_of(path: Path):
    """The comment marker of a source file, or nothing for other files."""
    if path.name == "CMakeLists.txt" or path.as_posix() in ("dev", ".ci/run"):
        return "#"
    return COMMENT.get(path.suffix)


def read_text(path: Path):
    """The file's lines; nothing if it is binary or too big to be source."""
    data = path.read_bytes() if path.stat().st_size <= BIGGEST_TEXT else b"\0"
    return None if b"\0" in data else data.decode("utf-8", "replace").splitlines()


def files_under(folder: Path, root: Path):
    for path in sorted(folder.iterdir()):
        if path.name in UNTRACKED or path.is_symlink() or path.suffix == ".pyc":
            continue
        if path.is_dir():
            yield from files_under(path, root)
        else:
            yield path.relative_to(root)


def part_of(path: str):
    """The part of the house a path belongs to: "rules", "resolver/path", ...; nothing outside."""
    folders = path.split("/")[:-1]
    if not folders or folders[0] not in ("rules", "detect", "resolver"):
        return None
    return "/".join(folders[:2]) if folders[0] == "resolver" else folders[0]


def check_includes(path: str, lines, fault):
    part = part_of(path)
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        header = match.group(1)
        if re.search(r"(^|/)main\.cpp$", header):
            fault("main-included", path, number, f"nothing includes main.cpp: {header}")
        if part is None:
            continue
        target = part_of(header)
        if target is not None and target not in MAY_INCLUDE.get(part, set()):
            fault("direction", path, number, f"{part} may not include {header}")
        if target is None and '"' in line:
            fault("direction", path, number, f'"{header}" does not begin with a part of the house; others take <>')
        for owned, owner in OWNERS:
            if re.fullmatch(owned, header) and not re.match(owner, path):
                fault("owner", path, number, f"<{header}> belongs to {owner} alone")
        if part in ("rules", "detect") and IMPURE_HEADERS.match(header):
            fault("pure", path, number, f"{part} only computes, so it has no use for <{header}>")


def check_purity(path: str, lines, fault):
    if part_of(path) not in ("rules", "detect"):
        return
    for number, line in enumerate(lines, 1):
        match = IMPURE_CALLS.search(line.split("//")[0])
        if match:
            fault("pure", path, number, f"time and surroundings are arguments here: {match.group(0)}")


def check_first_line(path: str, lines, marker: str, fault):
    first = 1 if lines and lines[0].startswith("#!") else 0
    text = lines[first] if len(lines) > first else ""
    words = re.findall(r"\w+", text[len(marker):]) if text.startswith(marker) else []
    if len(words) < 3:
        fault("first-line", path, first + 1, f"begin with a '{marker}' comment that names the file's one job")


def check_size(path: str, lines, fault, long_files):
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_COLUMNS:
            fault("long-line", path, number, f"{len(line)} characters; at most {MAX_COLUMNS}")
    if path.endswith(".inc"):
        return  # a table, which holds one idea however long it is
    limit = long_files.get(path, MAX_LINES)
    if len(lines) > limit:
        fault("long-file", path, limit + 1, f"{len(lines)} lines; at most {limit}: it holds more than one idea")
    if path in long_files and len(lines) <= MAX_LINES:
        fault("long-file", path, 1, "no longer too long: take it off the exception list")


def check_front_doors(sources, fault):
    """Each folder of the house with sources has exactly one header whose opening says that it is *the* front door."""
    folders = {}
    for path, lines in sources.items():
        folder = path.rsplit("/", 1)[0]
        if part_of(path) and path.endswith((".h", ".cpp")):
            doors = folders.setdefault(folder, [])
            opening = " ".join(line[2:].strip() for line in lines[:6] if line.startswith("//"))
            name = folder.split("/")[-1]
            if path.endswith(".h") and re.search(rf"[Tt]he front door of (resolver/)?{name}/", opening):
                doors.append(path)
    for folder, doors in sorted(folders.items()):
        if len(doors) != 1:
            what = " and ".join(doors) if doors else "none"
            name = folder.split("/")[-1]
            fault("front-door", folder, 1, f'one header must open with "The front door of {name}/": found {what}')


def check(root: Path, long_files=None):
    """All faults under `root`, as (rule, path, line, text), and how many source files were read."""
    long_files = LONG_FILES if long_files is None else long_files
    faults, sources = [], {}

    def fault(rule, path, line, text):
        faults.append((rule, path, line, text))

    for path in sorted(root.iterdir()):
        if path.name not in TOP_LEVEL | UNTRACKED and not path.name.startswith("."):
            fault("top-level", path.name, 1, f"the top level holds only {' '.join(sorted(TOP_LEVEL))} and dot files")
    for relative in files_under(root, root):
        path, lines = relative.as_posix(), read_text(root / relative)
        if lines is None:
            continue
        for number, line in enumerate(lines, 1):
            match = REGISTRY.search(line)
            if match:
                fault("registry", path, number, f"a package registry's host name: {match.group(1)}")
        marker = comment_of(relative)
        if marker is None:
            continue
        sources[path] = lines
        check_first_line(path, lines, marker, fault)
        check_size(path, lines, fault, long_files)
        check_includes(path, lines, fault)
        check_purity(path, lines, fault)
    check_front_doors(sources, fault)
    for path in sorted(set(long_files) - set(sources)):
        fault("long-file", path, 1, "is gone: take it off the exception list")
    return faults, len(sources)


# ---- the self-test ----------------------------------------------------------------------------------------

CLEAN_HOUSE = {
    "CMakeLists.txt": "# A small clean house\n",
    "README.md": "Prose.\n",
    "dev": "#!/bin/sh\n# The one front door\n",
    ".gitignore": "/build/\n",
    "rules/policy.h": '// Policy. The front door of rules/.\n#include <string>\n#include "rules/name.h"\n',
    "rules/name.h": "// A name as a value\n",
    "rules/public_suffix.cpp": "// Public suffixes by libpsl\n#include <libpsl.h>\n",
    "detect/detector.h": '// The front door of detect/.\n#include "rules/name.h"\n',
    "resolver/resolver.h": "// The front door of resolver/.\n",
    "resolver/main.cpp": '// Flags, configuration, wiring\n#include "resolver/path/pipeline.h"\n',
    "resolver/path/pipeline.h": '// The path. The front door of path/.\n#include "resolver/journal/journal.h"\n',
    "resolver/path/wire.cpp": "// Messages in and out\n#include <ldns/ldns.h>\n",
    "resolver/path/upstream.cpp": "// Questions to upstream servers\n#include <ares.h>\n#include <chrono>\n"
                                  "auto t = std::chrono::steady_clock::now();\n",
    "resolver/journal/journal.h": '// The front door of journal/.\n#include "detect/detector.h"\n',
    "resolver/journal/writer.cpp": "// Writes the rows\n#include <sqlite3.h>\n",
    "resolver/sandbox/broker.h": "// The front door of sandbox/.\n",
    "resolver/sandbox/cell.cpp": "// Locks the process in\n#include <seccomp.h>\n#include <sys/capability.h>\n",
    "tests/unit/journal/rows.cpp": "// Reads rows back\n#include <sqlite3.h>\n",
    "detect/table.inc": "// A table of numbers\n" + "1,\n" * MAX_LINES,
    "detect/meter.h": "// The meter. A front door of detect/, but not the one.\n",
    "build/anything.cpp": "no comment\n",
}

# One planted fault a line: the rule that must speak (and no other), the file, its text ("+...": appended).
PLANTED = [
    ("direction", "rules/name.h", '+#include "detect/detector.h"\n'),
    ("direction", "rules/name.h", '+#  include <resolver/path/pipeline.h>\n'),
    ("direction", "detect/detector.h", '+#include "resolver/journal/journal.h"\n'),
    ("direction", "resolver/journal/writer.cpp", '+#include "resolver/path/pipeline.h"\n'),
    ("direction", "resolver/sandbox/cell.cpp", '+#include "resolver/journal/journal.h"\n'),
    ("direction", "resolver/path/wire.cpp", '+#include "../control/api.h"\n'),
    ("main-included", "tests/unit/journal/rows.cpp", '+#include "resolver/main.cpp"\n'),
    ("owner", "resolver/journal/writer.cpp", "+#include <ares.h>\n"),
    ("owner", "resolver/path/upstream.cpp", "+#include <ldns/packet.h>\n"),
    ("owner", "resolver/path/upstream.cpp", "+#include <sqlite3.h>\n"),
    ("owner", "rules/name.h", "+#include <libpsl.h>\n"),
    ("owner", "resolver/main.cpp", "+#include <seccomp.h>\n"),
    ("owner", "resolver/path/wire.cpp", "+#include <yaml-cpp/yaml.h>\n"),
    ("owner", "resolver/path/upstream.cpp", "+#include <openssl/ssl.h>\n"),
    ("pure", "rules/name.h", "+#include <fstream>\n"),
    ("pure", "detect/detector.h", "+auto now = std::chrono::steady_clock::now();\n"),
    ("first-line", "rules/name.h", "#pragma once\n"),
    ("first-line", "rules/name.h", "// Name\n"),
    ("first-line", "dev", "#!/bin/sh\nset -e\n"),
    ("first-line", "tests/unit/journal/empty.cpp", ""),
    ("front-door", "detect/detector.h", "// The detector and its story\n"),
    ("front-door", "rules/name.h", "// A name. The front door of rules/.\n"),
    ("front-door", "resolver/control/api.cpp", "// HTTP over a socket\n"),
    ("long-line", "rules/name.h", "+// " + "x" * (MAX_COLUMNS - 2) + "\n"),
    ("long-file", "rules/name.h", "// A name as a value\n" + "\n" * MAX_LINES),
    ("registry", "README.md", "+Ask " + REGISTRIES[3] + ".\n"),
    ("registry", "tests/data/names.txt", "cdn." + REGISTRIES[0] + "\n"),
    ("top-level", "notes.txt", "x\n"),
    ("top-level", "src/a.txt", "x\n"),
]

# Just inside the range: nobody may speak.
ALLOWED = [
    ("rules/name.h", "+// " + "x" * (MAX_COLUMNS - 3) + "\n"),
    ("rules/name.h", "// A name as a value\n" + "\n" * (MAX_LINES - 1)),
    ("rules/name.h", "+// not steady_clock::now(), on purpose\n"),
    ("README.md", "+pypi.organic.example, xcrates.io, debian.org\n"),
    (".ci/run", "#!/usr/bin/env bash\n# What continuous integration runs\n"),
    ("docs/picture.bin", "\0" + REGISTRIES[0]),
]


def build_house(root: Path, change=None):
    house = dict(CLEAN_HOUSE)
    if change:
        path, text = change
        house[path] = house.get(path, "") + text[1:] if text.startswith("+") else text
    for path, text in house.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def self_test() -> int:
    def faults_with(change=None, long_files=None):
        with tempfile.TemporaryDirectory() as folder:
            build_house(Path(folder), change)
            return check(Path(folder), long_files or {})[0]

    wrong = [f"the clean house has faults: {faults_with()}"] if faults_with() else []
    for rule, path, text in PLANTED:
        found = {(one, where) for one, where, _, _ in faults_with((path, text))}
        if {one for one, _ in found} != {rule}:
            wrong.append(f"planted a '{rule}' fault in {path} ({text[:50]!r}); heard {sorted(found)}")
    for path, text in ALLOWED:
        if faults_with((path, text)):
            wrong.append(f"{path} ({text[:50]!r}) is allowed; heard {faults_with((path, text))}")
    long = "// A name as a value\n" + "\n" * MAX_LINES
    for limit, change, speaks in ((MAX_LINES + 1, ("rules/name.h", long), False),
                                  (MAX_LINES + 1, ("rules/name.h", long + "\n"), True),
                                  (MAX_LINES + 1, None, True)):
        if bool(faults_with(change, {"rules/name.h": limit})) != speaks:
            wrong.append(f"the exception list with {limit} lines should{'' if speaks else ' not'} speak")
    rules = set(re.findall(r"fault\(\"([a-z-]+)\"", Path(__file__).read_text()))
    unproved = rules - {rule for rule, _, _ in PLANTED}
    if unproved or not rules:
        wrong.append(f"no planted fault for: {sorted(unproved)}")
    for line in wrong:
        print(line)
    print(f"self-test: {len(PLANTED)} planted faults, {len(ALLOWED)} neighbours, {len(wrong)} wrong")
    return 1 if wrong else 0


def main() -> int:
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    faults, read = check(Path(sys.argv[1]))
    for rule, path, line, text in faults:
        print(f"{path}:{line}: {rule}: {text}")
    print(f"house rules: {read} source files read, {len(faults)} faults")
    return 1 if faults or read == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
