"""Celery's real workers, release by release: the acceptance tests of Celery, each in an environment of its own.

    python tests/compat/celery_versions.py [--keep FOLDER] [--python PYTHON] [RELEASE …]

Needs the network, redis-server, for some of it rabbitmq-server, and some three minutes a release; not part of
`make test`. Each release runs with the Kombu and the redis-py of its time. What fails is tried once more: a signal that
reaches a worker of Celery 5.2 in the middle of a fork is lost to it. `--keep` leaves the environments in a folder, for
the next time; the output of the tests lies beside them. Exit status 1: something failed twice.
"""

from __future__ import annotations

import argparse
import glob
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NEWEST = "newest"

#: Release → what it ran with in its time; pip would take what is the newest today, whether it works together or not.
RELEASES: "dict[str, list[str]]" = {
    "5.2.7": ["kombu==5.2.4", "redis==4.3.6"],
    "5.3.6": ["kombu==5.3.7", "redis==5.0.8"],
    "5.4.0": ["kombu==5.4.2", "redis==5.2.1"],
    "5.5.3": [],
    "5.6.3": [],
    NEWEST: [],
}
TESTS = ("tests/acceptance/test_celery_*.py", "tests/integrations/test_celery_*.py")
SHOWN = ("celery", "kombu", "billiard", "redis")


def make(release: str, python: str, folder: str) -> str:
    """The environment's interpreter."""
    inside = os.path.join(folder, "bin", "python")
    made = os.path.join(folder, "made")
    if not os.path.exists(made):
        wanted = ["celery" if release == NEWEST else f"celery=={release}", *(RELEASES[release] or ["redis"])]
        subprocess.run([python, "-m", "venv", folder], check=True)
        pip = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        listed = subprocess.run(
            [inside, os.path.join(ROOT, ".ci", "requirements.py"), "test"], check=True, capture_output=True, text=True
        ).stdout.split()
        subprocess.run([*pip, *wanted, "gevent", "eventlet", "Django>=4.2,<5.3", *listed], check=True)
        open(made, "w").close()
    return inside


def versions(python: str) -> str:
    code = (
        "import sys, importlib.metadata as m; print(*[f'{name} {m.version(name)}' for name in sys.argv[1:]], sep=', ')"
    )
    done = subprocess.run([python, "-c", code, *SHOWN], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def main(arguments: "list[str]") -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", metavar="FOLDER", help="where environments and outputs stay")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to make environments with")
    parser.add_argument("releases", nargs="*", metavar="RELEASE", help=", ".join(RELEASES))
    options = parser.parse_args(arguments)
    unknown = set(options.releases) - set(RELEASES)
    if unknown:
        parser.error(f"not among the releases: {', '.join(sorted(unknown))}")
    tests = [path for pattern in TESTS for path in sorted(glob.glob(os.path.join(ROOT, pattern)))]
    status = False
    with tempfile.TemporaryDirectory() as folder:
        for release in options.releases or RELEASES:
            home = os.path.join(os.path.abspath(options.keep or folder), release)
            python = make(release, options.python, home)
            failed, last = run(python, tests, home + ".out")
            print(f"{versions(python)}: {last}", flush=True)
            if failed:
                again, last = run(python, failed, home + ".again.out")
                print(f"    of these once more: {last}", flush=True)
                for test in failed:
                    print(f"    {test}: {'failed twice' if test in again else 'passed the second time'}", flush=True)
                status = status or bool(again)
    return int(status)


def run(python: str, tests: "list[str]", output: str) -> "tuple[list[str], str]":
    """The tests that failed, and what pytest says in the end."""
    command = [
        python,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "-rfEs",
        "-m",
        "compat or not compat",
        "-p",
        "no:cacheprovider",
        *tests,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    with open(output, "w", encoding="utf-8") as stream:
        stream.write(done.stdout + done.stderr)
    lines = done.stdout.strip().splitlines() or [done.stderr.strip()]
    failed = [line.split(" ")[1] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return failed or ([] if done.returncode == 0 else tests), lines[-1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
