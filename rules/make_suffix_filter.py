#!/usr/bin/env python3
# Makes suffix_filter.inc: a small filter that says of nearly every name that it is no public suffix.
"""Usage: rules/make_suffix_filter.py /usr/share/publicsuffix/public_suffix_list.dat > rules/suffix_filter.inc

The file must be the one that libpsl was built with (psl_builtin_sha1sum()); public_suffix.cpp compares the hashes and
does without the filter where they differ. Run it again when Debian's libpsl has a newer list.
"""
import hashlib
import sys

BITS = 1 << 17          # 16 KiB; of names that are no suffix one in 200 passes, and libpsl is asked about those
WILDCARD_BITS = 1 << 12  # what stands below "*." in a rule: some hundred
FACTOR = 0x9E3779B97F4A7C15
WIDTH = (1 << 64) - 1


def running_hash(octets, state=0):
    """As public_suffix.cpp has it: 8 octets at a time, the last of them overlapping."""
    def add(state, word):
        state = ((state ^ word) * FACTOR) & WIDTH
        return state ^ (state >> 29)

    size = len(octets)
    if size >= 8:
        starts = [*range(0, size - 8, 8), size - 8]
        words = [int.from_bytes(octets[at:at + 8], "little") for at in starts]
    elif size >= 4:
        words = [int.from_bytes(octets[:4], "little") << 32 | int.from_bytes(octets[-4:], "little")]
    else:
        words = [octets[0] << 16 | octets[size // 2] << 8 | octets[-1]]
    for word in words:
        state = add(state, word)
    return (state + size) & WIDTH


def places(state, bits):
    return [(state >> shift) % bits for shift in (0, 15, 31, 47)]


def wire(labels):
    return b"".join(bytes([len(label)]) + label for label in labels)


def labels_of(name):
    return [label.encode("ascii" if label.isascii() else "idna") for label in name.split(".")]


def main():
    data = open(sys.argv[1], "rb").read()
    suffixes, wildcards = [0] * (BITS // 64), [0] * (WILDCARD_BITS // 64)

    def add(words, state):
        for place in places(state, len(words) * 64):
            words[place // 64] |= 1 << (place % 64)

    def add_suffix(labels):
        add(suffixes, running_hash(wire(labels[:1]), running_hash(wire(labels[1:]) + b"\0")))

    for line in data.decode().splitlines():
        rule = line.split()[0].lower() if line.strip() else ""
        if not rule or rule.startswith("//") or rule.startswith("!"):
            continue  # what an exception excepts is below a wildcard, so libpsl is asked
        if rule.startswith("*."):
            add_suffix(labels_of(rule[2:]))
            add(wildcards, running_hash(wire(labels_of(rule[2:])) + b"\0"))  # every name one label below
        else:
            add_suffix(labels_of(rule))

    print("// Made by make_suffix_filter.py from the Public Suffix List (https://publicsuffix.org, MPL 2.0).")
    print(f'constexpr std::string_view suffix_filter_sha1 = "{hashlib.sha1(data).hexdigest()}";')
    for name, words in (("suffix_filter", suffixes), ("wildcard_filter", wildcards)):
        print(f"constexpr std::array<std::uint64_t, {len(words)}> {name}{{")
        for i in range(0, len(words), 5):
            print("    " + " ".join(f"0x{word:016x}," for word in words[i:i + 5]))
        print("};")


if __name__ == "__main__":
    main()
