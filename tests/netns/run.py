#!/usr/bin/python3
# Runs the namespace tests: one case (as CTest does), some, or all; `--list` names them.
#
#   run.py --postern build/release/postern                 all, one after the other
#   run.py --postern build/release/postern musl upstream   those whose sentence contains one of the words
#   run.py --postern build/release/postern --case "..."    exactly that one, in this process
import argparse
import importlib
import os
import subprocess
import sys
import time
import traceback

import private_host
from cases import CASES

MODULES = sorted(file[:-3] for file in os.listdir(os.path.dirname(os.path.abspath(__file__)))
                 if file.startswith("cases_") and file.endswith(".py"))


def main():
    options = argparse.ArgumentParser(description="Postern's namespace tests")
    options.add_argument("--postern", default="build/release/postern")
    options.add_argument("--list", action="store_true",
                         help="one line per case: seconds, a tab, the sentence")
    options.add_argument("--case")
    options.add_argument("words", nargs="*")
    given = options.parse_args()
    os.environ["POSTERN_BINARY"] = os.path.abspath(given.postern)
    for module in MODULES:
        importlib.import_module(module)
    if given.list:
        for sentence, function in CASES.items():
            print(f"{function.seconds}\t{sentence}")
        return 0
    if given.case:
        return run_one(given.case)
    return run_some(given.postern, given.words)


def run_one(sentence):
    private_host.enter()
    try:
        CASES[sentence]()
    except private_host.Skip as skip:
        return private_host.skip_status(str(skip))
    except Exception:  # the report of a failing case, with what its daemons said
        traceback.print_exc()
        _print_logs()
        return 1
    return 0


def _print_logs():
    for folder, _, files in sorted(os.walk(private_host.temp_folder())):
        for file in sorted(files):
            if file == "log" or file.endswith((".out", ".log")):
                with open(os.path.join(folder, file), errors="replace") as text:
                    said = text.read()[-4000:].strip()
                if said:
                    print(f"--- {os.path.join(folder, file)}\n{said}", file=sys.stderr)


def run_some(postern, words):
    chosen = [s for s in CASES if not words or any(word.lower() in s.lower() for word in words)]
    failed = skipped = 0
    for sentence in chosen:
        start = time.monotonic()
        try:
            done = subprocess.run([sys.executable, os.path.abspath(__file__), "--postern", postern, "--case",
                                   sentence],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  errors="replace",
                                  timeout=CASES[sentence].seconds)
            status, said = done.returncode, done.stdout
        except subprocess.TimeoutExpired as late:
            status, said = 1, f"not within {CASES[sentence].seconds} s\n{(late.stdout or b'').decode(errors='replace')}"
        word = {0: "ok", private_host.SKIPPED: "SKIPPED"}.get(status, "FAILED")
        failed += word == "FAILED"
        skipped += word == "SKIPPED"
        print(f"{word:8}{time.monotonic() - start:6.1f} s  {sentence}", flush=True)
        if status != 0:
            print("    " + said.strip().replace("\n", "\n    "), flush=True)
    print(f"{len(chosen)} cases, {failed} failed, {skipped} skipped")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
