#!/usr/bin/python3
# Live tunnels for longer than CI has time for: iodine, dns2tcp and our own programs against a release build.
#
#   bench_live.py [--postern build/release/postern] [--seconds 90]
#
# Exit status: 0 when at most 256 octets arrived in every zone and every ordinary lookup beside was answered.
import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "netns"))
import live  # noqa: E402
import private_host  # noqa: E402


def main():
    options = argparse.ArgumentParser(description="Live tunnels through Postern, and what arrives")
    options.add_argument("--postern", default="build/release/postern")
    options.add_argument("--seconds", type=int, default=90, help="how long the slow programs ask")
    given = options.parse_args()
    os.environ["POSTERN_BINARY"] = os.path.abspath(given.postern)
    private_host.enter()
    try:
        live.check(live.measure(live.own_programs(given.seconds) + live.real_tunnels(), given.seconds + 2))
    except private_host.Skip as skip:
        print(f"bench_live: NOTHING WAS MEASURED: {skip}", file=sys.stderr)
        return 2
    except AssertionError as missed:
        print(f"bench_live: not reached: {missed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
