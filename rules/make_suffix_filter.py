#!/usr/bin/env python3
# Makes suffix_filter.inc: a small filter that says of nearly every name that it is no public suffix.
"""Usage: rules/make_suffix_filter.py /usr/share/publicsuffix/public_suffix_list.dat > rules/suffix_filter.inc

The file must be the one that libpsl was built with (psl_builtin_sha1sum()); public_suffix.cpp compares the hashes and
does without the filter where they differ. Run it again when Debian's libpsl has a newer list.
"""
import hashlib
import sys

BITS = 1 << 17  # 16 KiB; of names that are no suffix about 2 % pass, and libpsl is asked about those
PRIME = 0x100000001B3
WIDTH = (1 << 64) - 1


def running_hash(octets, state=0xCBF29CE484222325):
    """FNV-1a, as public_suffix.cpp has it: over the wire form from the right, without the root's octet."""
    for octet in octets:
        state = ((state ^ octet) * PRIME) & WIDTH
    return state


def places(state):
    state = ((state ^ (state >> 29)) * 0x9E3779B97F4A7C15) & WIDTH
    return (state >> 20) % BITS, (state >> 43) % BITS


def reversed_wire(name):
    labels = [label.encode("ascii" if label.isascii() else "idna") for label in name.split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels)[::-1]


def main():
    data = open(sys.argv[1], "rb").read()
    words = [0] * (BITS // 64)

    def add(state):
        for place in places(state):
            words[place // 64] |= 1 << (place % 64)

    for line in data.decode().splitlines():
        rule = line.split()[0].lower() if line.strip() else ""
        if not rule or rule.startswith("//") or rule.startswith("!"):
            continue  # what an exception excepts is below a wildcard, so libpsl is asked
        if rule.startswith("*."):
            base = running_hash(reversed_wire(rule[2:]))
            add(base)
            add(running_hash([0xFF], base))  # every name one label below
        else:
            add(running_hash(reversed_wire(rule)))

    print("// Made by make_suffix_filter.py from the Public Suffix List (https://publicsuffix.org, MPL 2.0).")
    print(f'constexpr std::string_view suffix_filter_sha1 = "{hashlib.sha1(data).hexdigest()}";')
    print(f"constexpr std::array<std::uint64_t, {len(words)}> suffix_filter{{")
    for i in range(0, len(words), 5):
        print("    " + " ".join(f"0x{word:016x}," for word in words[i:i + 5]))
    print("};")


if __name__ == "__main__":
    main()
