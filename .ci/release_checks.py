"""What a release must hold and no build tool checks. `.ci/release` runs each check by its name.

    publishable              the version has its section in the changelog; the metadata names authors and addresses
    sbom FILE                completes the SBOM that cyclonedx-py wrote, and validates it against CycloneDX's schema
    licences FILE            each library of the SBOM has a licence that lets an ERP use it
    audit FILE               no library of the requirements file has a known vulnerability

Exit status: 0 it holds; 1 it does not; 3 only a rehearsal may go on (nothing to publish yet, nothing to check with).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from urllib.parse import urlsplit

try:
    import tomllib
except ImportError:  # before Python 3.11: the copy that pip contains
    from pip._vendor import tomli as tomllib

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
#: What a stranger looks for, and what its address shows.
ADDRESSES = {
    "Source": "the source of this copy",
    "Issues": "where its users report faults",
    "Changelog": "its CHANGELOG.md",
}
#: Names that belong to nobody (RFC 2606, RFC 6761).
NOBODYS = re.compile(r"(^|\.)(example(\.com|\.net|\.org)?|test|invalid|localhost|local)$")
#: Licences under which a library may be installed beside any ERP: permissive, and MPL (weak, by file; certifi's).
LICENCES = {"MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MPL-2.0", "PSF-2.0", "0BSD"}
#: A release with known vulnerabilities. A database that has none for it is no database.
CANARY = "urllib3==1.26.4"
DATABASES = {"pypi": "pypi.org", "osv": "api.osv.dev"}
FAILED, REHEARSAL_ONLY = 1, 3


def missing_to_publish(project: dict, version: str, changelog: str) -> list[str]:
    """What a stranger would not find; each with what to do."""
    found = []
    if not re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", changelog, re.MULTILINE):
        found.append(
            f"CHANGELOG.md has no section '## {version} (YYYY-MM-DD)': replace the heading of the newest section, "
            f"'## Unreleased ({version})', with it and the day of the release"
        )
    if not project.get("authors"):
        found.append('pyproject.toml names no authors: add authors = [{name = "…"}]')
    urls = project.get("urls", {})
    for name, what in ADDRESSES.items():
        url = urlsplit(urls.get(name, ""))
        line = f'{name} = "https://…"  # {what}'
        where = "in the table [project.urls], which is there as a comment, fill in and uncomment"
        if not url.hostname:
            found.append(f"pyproject.toml has no address '{name}': {where}: {line}")
        elif url.scheme != "https" or "." not in url.hostname or NOBODYS.search(url.hostname):
            found.append(
                f"pyproject.toml: nobody can open {urls[name]} ('{name}'): {where} an address of a real host: {line}"
            )
    return found


def completed(sbom: dict, version: str, plots: str) -> dict:
    """The SBOM with what cyclonedx-py cannot see: the version, and the JavaScript library inside the wheel."""
    root = sbom["metadata"]["component"]
    root.update(version=version, purl=f"pkg:pypi/{root['name']}@{version}")
    purl = f"pkg:npm/uplot@{plots}"
    plotting = {"type": "library", "bom-ref": purl, "name": "uplot", "version": plots, "purl": purl,
                "licenses": [{"license": {"id": "MIT", "acknowledgement": "declared"}}]}  # fmt: skip
    sbom["components"] = [each for each in sbom["components"] if each["bom-ref"] != purl] + [plotting]
    for each in sbom["dependencies"]:
        if each["ref"] == root["bom-ref"]:
            each["dependsOn"] = sorted({*each.get("dependsOn", []), purl})
    sbom["dependencies"] = [each for each in sbom["dependencies"] if each["ref"] != purl] + [{"ref": purl}]
    return sbom


def licences_of(component: dict) -> set[str]:
    """The licences of a component that can be chosen: of 'A OR B' each. Empty: it names none that we know."""
    found = set()
    for each in component.get("licenses", []):
        text = each.get("expression") or each["license"].get("id") or ""
        found.update(part.strip(" ()") for part in re.split(r"\bOR\b", text) if part.strip(" ()"))
    return found


def vulnerable(requirements: str, database: str) -> dict[str, list[str]] | None:
    """Ids of known vulnerabilities by library. None: no usable response, the reason was printed."""
    arguments = ["--strict", "--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json"]
    arguments += ["--vulnerability-service", database, "--requirement", requirements]
    done = subprocess.run([sys.executable, "-m", "pip_audit", *arguments], capture_output=True, text=True, check=False)
    try:
        checked = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        print((done.stderr.strip().splitlines() or ["pip-audit printed nothing"])[-1])
        return None
    return {each["name"]: [one["id"] for one in each["vulns"]] for each in checked if each.get("vulns")}


def _load(path: str) -> dict:
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _read(*path: str) -> str:
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def _version() -> str:
    return re.search(r'^__version__ = "(.+)"$', _read("agent", "base", "version.py"), re.MULTILINE)[1]


def publishable() -> int:
    missing = missing_to_publish(tomllib.loads(_read("pyproject.toml"))["project"], _version(), _read("CHANGELOG.md"))
    print("\n".join(missing) or f"{_version()} can be published")
    return REHEARSAL_ONLY if missing else 0


def sbom(path: str) -> int:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    plots = re.search(r"^UPLOT\s*= (\S+)$", _read("Makefile"), re.MULTILINE)[1]
    found = completed(_load(path), _version(), plots)
    text = json.dumps(found, indent=2, sort_keys=True) + "\n"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    schema = SchemaVersion.from_version(found["specVersion"])
    error = JsonStrictValidator(schema).validate_str(text)
    if error:
        print(f"{path} is not valid: {error}")
        return FAILED
    print(f"{len(found['components'])} components; valid CycloneDX {found['specVersion']}")
    return 0


def licences(path: str) -> int:
    failed = 0
    for each in sorted(_load(path)["components"], key=lambda each: each["name"].lower()):
        found = licences_of(each)
        print(f"{each['name']:28}{each['version']:18}{' or '.join(sorted(found)) or 'none named'}")
        if not found & LICENCES:
            failed = FAILED
            print(f"  no licence that is allowed: read it, then add it to LICENCES in {os.path.basename(__file__)}")
    return failed


def audit(path: str) -> int:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as canary:
        canary.write(CANARY + "\n")
        canary.flush()
        database = next((each for each in DATABASES if vulnerable(canary.name, each)), None)
    if database is None:
        print(
            f"could not be reached: {', '.join(DATABASES.values())}. No library was checked: run this where one can be"
        )
        return REHEARSAL_ONLY
    found = vulnerable(path, database)
    if found is None:
        print(f"{DATABASES[database]} has no entry for one of the libraries: see the line above")
        return FAILED
    for name, ids in found.items():
        print(f"{name}: {', '.join(ids)}. require a release without it in pyproject.toml")
    if not found:
        print(f"no known vulnerabilities, by {DATABASES[database]}")
    return FAILED if found else 0


CHECKS = {"publishable": publishable, "sbom": sbom, "licences": licences, "audit": audit}

if __name__ == "__main__":
    sys.exit(CHECKS[sys.argv[1]](*sys.argv[2:]))
