"""Every target of every pack against the releases that its `requires` names. Needs the network; not part of `make test`.

    python tests/compat/packs.py [django==3.2.25 celery==5.2.7 …]

Each release is downloaded by pip and unpacked, never installed or imported: the targets are looked up as `validate` does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RELEASES = {
    "django": ["3.2.25", "4.0.10", "4.1.13", "4.2.16", "5.0.9", "5.1.3", "5.2"],
    "celery": ["5.2.7", "5.3.6", "5.4.0", "5.5.0"],
}


def unpack(name: str, version: str, folder: str) -> "str | None":
    """The release's code in a folder of its own, or why not."""
    import glob
    import zipfile

    asked = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--no-build-isolation",
         "--python-version", "3.12", "--dest", folder, f"{name}=={version}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    wheels = glob.glob(os.path.join(folder, "*.whl"))
    if asked.returncode or not wheels:
        return (asked.stderr.strip().splitlines() or ["no wheel"])[-1]
    with zipfile.ZipFile(wheels[0]) as archive:
        archive.extractall(folder)
    return None


def check_release(name: str, version: str) -> "tuple[int, list[str]]":
    """How many targets and exceptions were looked up, and what is wrong with them."""
    from agent.config.load import examine
    from agent.config.lookup.check import check
    from agent.config.lookup.resolve import Lookup
    from agent.config.lookup.search import here

    with tempfile.TemporaryDirectory() as folder:
        failed = unpack(name, version, folder)
        if failed:
            return 0, [f"could not be downloaded: {failed}"]
        config = os.path.join(folder, "monitors.yaml")
        with open(config, "w", encoding="utf-8") as stream:
            stream.write(f"version: 1\npacks: [{name}]\n")
        examined = examine(config, {})
        lookup = Lookup(here()._replace(entries=(folder,), mapped={}))
        seen, problems = check(examined, lookup)
        wrong = [f"{one.text}: {one.outcome.status}: {one.outcome.reason}" for one in seen if not one.outcome.found]
        wrong += [f"{problem.message} [{problem.slug}]" for problem in problems if problem.file != config]
        if not seen:
            wrong.append("no monitor's requirement is met")
        return len(seen), wrong


def main(arguments: "list[str]") -> int:
    sys.path.insert(0, ROOT)
    wanted = [tuple(item.split("==")) for item in arguments] or [
        (name, version) for name, versions in RELEASES.items() for version in versions
    ]
    status = 0
    for name, version in wanted:
        number, wrong = check_release(name, version)
        print(f"{name} {version}: {number} targets, {'; '.join(wrong) if wrong else 'all found'}")
        status = status or bool(wrong)
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
