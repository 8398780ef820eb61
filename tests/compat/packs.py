"""Every target of every pack against the releases that its `requires` names. Needs the network; not part of `make test`.

    python tests/compat/packs.py [--keep FOLDER] [PACK | PACK:NAME==VERSION | PACK:NAME==VERSION@FOLDER …]

Each release is downloaded by pip and unpacked, never installed or imported: the targets are looked up as `validate` does.
`--keep` leaves what was downloaded in a folder, for the next time. What PyPI does not have is looked up in its sources:
`odoo:odoo==18.0@/opt/odoo`, `frappe:frappe==14.93@/opt/frappe-bench/apps/frappe`. Exit status 1: something was not found, or what `defaults`
of a pack name was found in no release.
"""

from __future__ import annotations

import argparse
import glob
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NEWEST = ""  # what pip finds

#: Pack → distribution → releases: the oldest that `requires` admits, and the last of each line since.
RELEASES: "dict[str, dict[str, list[str]]]" = {
    "django": {"django": ["3.2.25", "4.0.10", "4.1.13", "4.2.16", "5.0.9", "5.1.3", "5.2", NEWEST]},
    "celery": {
        "celery": ["5.2.7", "5.3.6", "5.4.0", "5.5.0", "5.6.3", NEWEST],
        "kombu": ["5.2.4", "5.3.7", "5.4.2", "5.5.4", NEWEST],
        "billiard": ["3.6.4.0", "4.0.2", "4.2.1", NEWEST],
    },
    "rq": {"rq": ["1.10.0", "1.16.2", "2.0.0", "2.6.1", NEWEST]},
    "dramatiq": {"dramatiq": ["1.9.0", "1.17.1", "2.0.0", NEWEST]},
    "huey": {"huey": ["3.0.0", NEWEST]},  # of 2 there are no wheels
    "django_q": {"django-q2": ["1.10.0", NEWEST]},
    "apscheduler": {"APScheduler": ["3.5.3", "3.10.4", NEWEST]},
    "redis": {"redis": ["3.5.3", "4.0.2", "4.1.4", "4.2.2", "4.3.6", "4.6.0", "5.0.8", "5.2.1", "6.2.0", NEWEST]},
    "drf": {"djangorestframework": ["3.12.4", "3.13.1", "3.14.0", "3.15.2", "3.16.0", NEWEST]},
    "flask": {
        "flask": ["2.0.3", "2.1.3", "2.2.5", "2.3.3", "3.0.3", NEWEST],
        "flask-login": ["0.5.0", "0.6.3", NEWEST],
    },
    "starlette": {"starlette": ["0.20.4", "0.27.0", "0.36.3", "0.41.3", NEWEST]},
    "fastapi": {"fastapi": ["0.95.2", "0.100.1", "0.110.3", "0.115.6", NEWEST]},
    "aiohttp": {"aiohttp": ["3.8.6", "3.9.5", "3.10.11", "3.11.11", NEWEST]},
    "pyramid": {"pyramid": ["1.10.8", "2.0.2", NEWEST]},
    "trytond": {
        "trytond": [
            "5.0.63",
            "5.2.20",
            "5.4.20",
            "5.6.17",
            "5.8.16",
            "6.0.76",
            "6.2.14",
            "6.4.16",
            "6.6.14",
            "6.8.17",
            "7.0.59",
            "7.2.23",
            "7.4.25",
            "7.6.20",
            "7.8.18",
            "8.0.12",
            NEWEST,
        ],
    },
    "requests": {"requests": ["2.20.1", "2.25.1", "2.28.2", "2.31.0", "2.32.3", NEWEST]},
    "urllib3": {"urllib3": ["1.26.0", "1.26.20", "2.0.7", "2.2.3", NEWEST]},
    "httpx": {"httpx": ["0.20.0", "0.22.0", "0.23.3", "0.25.2", "0.27.2", "0.28.1", NEWEST]},
    "sqlalchemy": {"sqlalchemy": ["1.4.0", "1.4.54", "2.0.0", "2.0.36", NEWEST]},
    "psycopg": {
        "psycopg": ["3.0.18", "3.1.20", "3.2.3", NEWEST],
        "psycopg-pool": ["3.0.3", "3.1.9", "3.2.3", NEWEST],
        "psycopg2-binary": ["2.8.6", "2.9.9", NEWEST],  # psycopg2 has no wheels; its Python files are the same
    },
    "marshmallow": {"marshmallow": ["3.0.0", "3.13.0", "3.26.1", NEWEST]},
    "wtforms": {"wtforms": ["2.2.1", "3.0.1", "3.1.2", NEWEST]},
    "mysql": {
        "pymysql": ["0.9.3", "1.0.2", "1.1.1", NEWEST],
        "mysqlclient": ["1.4.6", "2.0.3", "2.2.7", NEWEST],
        "aiomysql": ["0.1.1", "0.2.0", NEWEST],
        "mysql-connector-python": ["8.0.33", "8.4.0", "9.1.0", NEWEST],
    },
    "oracledb": {"oracledb": ["1.0.3", "1.4.2", "2.0.1", "2.5.1", "3.0.0", NEWEST]},
    "asyncpg": {"asyncpg": ["0.27.0", "0.29.0", "0.30.0", NEWEST]},
}


def download(name: str, version: str, folder: str) -> "str | None":
    """The release's archive into `folder`, a wheel for any Python if need be its source; or why not."""
    wanted = f"{name}=={version}" if version else name
    base = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    said = ""
    for how in (
        ["--only-binary=:all:", "--python-version", "3.11"],
        ["--only-binary=:all:", "--python-version", "3.9"],
        ["--no-binary=:all:", "--no-build-isolation"],
    ):
        asked = subprocess.run(
            [*base, *how, "--dest", folder, wanted], capture_output=True, text=True, check=False
        )  # fmt: skip
        if archives(folder):
            return None
        said = (asked.stderr.strip().splitlines() or ["nothing was downloaded"])[-1]
    return said


def archives(folder: str) -> "list[str]":
    return glob.glob(os.path.join(folder, "*.whl")) + glob.glob(os.path.join(folder, "*.tar.gz"))


def unpack(archive: str, folder: str) -> None:
    """A wheel as it would be installed; of a source archive the packages, and metadata as an installation makes them."""
    if archive.endswith(".whl"):
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(folder)
        return
    with tempfile.TemporaryDirectory() as place, tarfile.open(archive) as source:
        source.extractall(place)
        (top,) = os.listdir(place)
        inside = os.path.join(place, top)
        for package in (inside, os.path.join(inside, "src"), os.path.join(inside, "lib")):
            for entry in os.listdir(package) if os.path.isdir(package) else ():
                whole = os.path.join(package, entry)
                if os.path.isfile(os.path.join(whole, "__init__.py")):
                    shutil.move(whole, os.path.join(folder, entry))
        name, _, version = top.rpartition("-")
        os.makedirs(os.path.join(folder, f"{name}-{version}.dist-info"))
        shutil.move(os.path.join(inside, "PKG-INFO"), os.path.join(folder, f"{name}-{version}.dist-info", "METADATA"))


def unknown_exceptions(pack: str, folder: "str | None" = None) -> "set[str]":
    """What the pack's `defaults` name and an installation (this one, or that in `folder`) does not have.

    Nothing of packages that are not installed. An older release may lack a name that is right.
    """
    import yaml

    from agent.codebase.lookup import Lookup
    from agent.codebase.outcome import MISSING
    from agent.codebase.search import here
    from agent.config.read.shipped import pack_path

    lookup = Lookup(here()._replace(entries=(folder,), mapped={}) if folder else here())
    with open(pack_path(pack), encoding="utf-8") as stream:
        file = yaml.safe_load(stream)
    named: "set[str]" = set()
    for given in (
        file.get("defaults"),
        *[(module or {}).get("defaults") for module in file.get("modules", {}).values()],
    ):
        for key in ("expect", "ignore_errors", "errors"):
            named.update((given or {}).get(key, ()))
    outcomes = {name: lookup.exception(name) for name in named}
    return {name for name, outcome in outcomes.items() if outcome.status == MISSING and not outcome.absent}


def check_release(pack: str, name: str, version: str, kept: str) -> "tuple[str, int, list[str], set[str]]":
    """The release, how many targets were looked up, what is wrong with them or their exceptions, and `unknown_exceptions`."""
    store = os.path.join(kept, f"{name}-{version or 'newest'}")
    os.makedirs(store, exist_ok=True)
    failed = None if archives(store) else download(name, version, store)
    if failed:
        return version or "newest", 0, [f"could not be downloaded: {failed}"], set()
    (archive,) = archives(store)
    with tempfile.TemporaryDirectory() as folder:
        unpack(archive, folder)
        number, wrong = look_up(pack, folder)
        unknown = unknown_exceptions(pack, folder)
    return os.path.basename(archive).split("-")[1].replace(".tar.gz", ""), number, wrong, unknown


def check_source(pack: str, name: str, version: str, source: str) -> "tuple[str, int, list[str], set[str]]":
    """The same of a source tree, whose release is given."""
    with tempfile.TemporaryDirectory() as folder:
        about = os.path.join(folder, f"{name}-{version}.dist-info")
        os.makedirs(about)
        with open(os.path.join(about, "METADATA"), "w", encoding="utf-8") as stream:
            stream.write(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        number, wrong = look_up(pack, folder, source)
    return version, number, wrong, unknown_exceptions(pack, source)


def look_up(pack: str, *folders: str) -> "tuple[int, list[str]]":
    """How many targets were looked up in these folders, and what is wrong with them."""
    from agent.codebase.check import check
    from agent.codebase.lookup import Lookup
    from agent.codebase.search import here
    from agent.config.load import examine

    config = os.path.join(folders[0], "monitors.yaml")
    with open(config, "w", encoding="utf-8") as stream:
        stream.write(f"version: 1\npacks: [{pack}]\n")
    examined = examine(config, {})
    seen, problems = check(examined, Lookup(here()._replace(entries=folders, mapped={})))
    wrong = [f"{one.text}: {one.outcome.status}: {one.outcome.reason}" for one in seen if not one.outcome.found]
    wrong += [f"{problem.message} [{problem.slug}]" for problem in problems if problem.file != config]
    if not seen:
        wrong.append("no monitor's requirement is met")
    return len(seen), wrong


def main(arguments: "list[str]") -> int:
    sys.path.insert(0, ROOT)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", metavar="FOLDER", help="where downloads stay")
    parser.add_argument("what", nargs="*", metavar="PACK | PACK:NAME==VERSION[@FOLDER]")
    options = parser.parse_args(arguments)
    wanted: "list[tuple[str, str, str]]" = []
    for item in options.what or RELEASES:
        pack, _, release = item.partition(":")
        if release:
            wanted.append((pack, *release.split("==")))  # type: ignore[arg-type]
        else:
            wanted += [(pack, name, version) for name, versions in RELEASES[pack].items() for version in versions]
    status = 0
    unknown: "dict[tuple[str, str], set[str]]" = {}
    with tempfile.TemporaryDirectory() as folder:
        for pack, name, version in wanted:
            version, _, source = version.partition("@")
            release, number, wrong, lacks = (
                check_source(pack, name, version, source)
                if source
                else check_release(pack, name, version, options.keep or folder)
            )
            unknown[pack, name] = unknown.get((pack, name), lacks) & lacks
            print(
                f"{pack}: {name} {release}: {number} targets, {'; '.join(wrong) if wrong else 'all found'}", flush=True
            )
            status = status or bool(wrong)
    for (pack, name), lacks in unknown.items():
        if lacks:
            print(f"{pack}: `defaults` name what no release of {name} has: {', '.join(sorted(lacks))}")
            status = 1
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
