"""Modules are found where an import would find them."""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
import venv
import zipfile

import pytest

from agent.base.errors import ConfigError
from agent.codebase import search
from agent.codebase.lookup import Lookup
from agent.codebase.modules import ModuleFinder


def test_kinds_of_modules(project):
    lookup = project({
        "pack/__init__.py": "", "pack/mod.py": "", "space/part.py": "", "plain.py": "", "both.py": "",
        "both/__init__.py": "", "c.cpython-399-nowhere.so": "", "empty/deeper/note.txt": "",
    })  # fmt: skip
    find = lookup.finder.find
    kinds = {name: (found.kind if (found := find(name)) else None) for name in
             ("pack", "pack.mod", "space", "space.part", "plain", "plain.x", "both", "c", "nothing", "sys", "empty.deeper")}  # fmt: skip
    assert kinds == {
        "pack": "source", "pack.mod": "source", "space": "namespace", "space.part": "source", "plain": "source",
        "plain.x": None, "both": "source", "c": None, "nothing": None, "sys": "builtin", "empty.deeper": "namespace",
    }  # fmt: skip
    assert find("both").file.endswith("__init__.py")


def test_a_namespace_package_has_parts_in_several_folders(project):
    lookup = project({"one/ns/a.py": "def f(): ...", "two/ns/b.py": "def g(): ..."}, "one", "two")
    assert lookup.outcome("ns.a.f").status == "found"
    assert lookup.outcome("ns.b.g").status == "found"


def test_a_regular_package_hides_a_namespace_that_comes_later(project):
    lookup = project({"one/ns/a.py": "", "two/ns/__init__.py": "", "two/ns/b.py": ""}, "one", "two")
    assert lookup.finder.find("ns").kind == "source"
    assert lookup.finder.find("ns.a") is None


def test_extend_path(project):
    lookup = project({
        "one/ns/__init__.py": "from pkgutil import extend_path\n__path__ = extend_path(__path__, __name__)\n",
        "two/ns/__init__.py": "", "two/ns/b.py": "def g(): ...",
    }, "one", "two")  # fmt: skip
    assert lookup.outcome("ns.b.g").status == "found"


def test_zip_files(tmp_path, bare):
    archive = tmp_path / "lib.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("zipped/__init__.py", "from .inner import f\n")
        opened.writestr("zipped/inner.py", "def f(a, b): ...\n")
        opened.writestr("space/part.py", "def g(): ...\n")
        opened.writestr("single.py", "def h(): ...\n")
    lookup = Lookup(bare(str(archive)))
    outcome = lookup.outcome("zipped.f")
    assert (outcome.status, outcome.line, outcome.parameters.names) == ("found elsewhere", 1, ("a", "b"))
    assert outcome.file == os.path.join(str(archive), "zipped", "inner.py")
    assert lookup.outcome("space.part.g").status == "found"
    assert lookup.outcome("single.h").status == "found"
    assert lookup.outcome("zipped.inner.ff").hint == "did you mean `f`?"
    assert lookup.outcome("zipped.inne.f").hint == "did you mean `inner`?"
    inside = Lookup(bare(os.path.join(str(archive), "zipped")))
    assert inside.outcome("inner.f").status == "found"


def test_bytecode_alone_cannot_be_checked(tmp_path, bare):
    (tmp_path / "gone.py").write_text("def f(): ...")
    compileall.compile_dir(str(tmp_path), legacy=True, quiet=1)
    (tmp_path / "gone.py").unlink()
    outcome = Lookup(bare(str(tmp_path))).outcome("gone.f")
    assert (outcome.status, "bytecode" in outcome.reason) == ("cannot be checked", True)


def test_compiled_modules_cannot_be_checked(tmp_path, bare):
    tag = "%d%d" % sys.version_info[:2]
    (tmp_path / f"fast.cpython-{tag}-x86_64-linux-gnu.so").write_bytes(b"")
    (tmp_path / "fast.py").write_text("def f(): ...")  # the extension wins
    outcome = Lookup(bare(str(tmp_path))).outcome("fast.f")
    assert (outcome.status, outcome.reason) == ("cannot be checked", "`fast`: it is compiled")
    assert Lookup(bare()).outcome("time.sleep").status == "cannot be checked"


@pytest.mark.parametrize(
    ("pth", "finder", "source"),
    [
        ("__editable__.x.pth", "__editable___x_1_0_finder.py", "MAPPING: dict[str, str] = {'mapped': %r}\nNAMESPACES = {}\n"),
        ("_x.pth", "_editable_impl_x.py", "from editables.redirector import RedirectingFinder as F\nF.install()\nF.map_module('mapped', %r)\n"),
        ("_y.pth", "_y_editable.py", "def install(*a): ...\ninstall({'mapped': %r}, {}, None)\n"),
    ],
    ids=["setuptools", "editables", "scikit-build-core"],
)  # fmt: skip
def test_editable_installs_are_read_as_text(tmp_path, pth, finder, source):
    home = tmp_path / "src" / "mapped"
    home.mkdir(parents=True)
    (home / "__init__.py").write_text("def f(): ...")
    (home / "sub.py").write_text("def g(): ...")
    site = tmp_path / "site-packages"
    site.mkdir()
    module = finder[:-3]
    (site / pth).write_text(f"import {module}; {module}.install()\n")
    mapped = home / "__init__.py" if "impl" in finder or "_y" in finder else home
    (site / finder).write_text(source % str(mapped) + "raise SystemExit\n")
    (site / "plain.pth").write_text(f"# a comment\n{tmp_path / 'src'}\n{tmp_path / 'nowhere'}\n")
    added, found = search.editable(str(site))
    assert added == [str(tmp_path / "src")]
    assert found == {"mapped": str(mapped)}
    lookup = Lookup(search.here()._replace(entries=(), mapped=found))
    assert lookup.outcome("mapped.f").status == "found"
    assert lookup.outcome("mapped.sub.g").status == "found"


def test_another_environment_is_asked_without_running_anything_of_it(tmp_path):
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    said = subprocess.run(
        [python, "-c", "import json, site; print(json.dumps(site.getsitepackages()))"], capture_output=True, check=True
    )
    site = json.loads(said.stdout)[0]
    trap = "open({!r}, 'w').close()\n".format(str(tmp_path / "ran"))
    for name in ("sitecustomize.py", "usercustomize.py", "theirs.py"):
        with open(os.path.join(site, name), "w") as stream:
            stream.write(trap + "def f(a): ...\n")
    with open(os.path.join(site, "trap.pth"), "w") as stream:
        stream.write("import os; " + trap)
    with open(os.path.join(site, "linked.pth"), "w") as stream:
        stream.write(str(tmp_path / "linked") + "\n")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "far.py").write_text("def g(): ...")
    for given in (str(python), str(home)):
        lookup = Lookup(search.of_interpreter(given))
        assert lookup.outcome("theirs.f").status == "found"
        assert lookup.outcome("far.g").status == "found"
        assert lookup.outcome("json.dumps").status == "found"
    assert not (tmp_path / "ran").exists()


def test_what_is_no_interpreter_is_a_sentence(tmp_path):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho no >&2; exit 1\n")
    program.chmod(0o755)
    for path in (str(program), str(tmp_path / "none"), str(tmp_path)):
        with pytest.raises(ConfigError):
            search.of_interpreter(path if path != str(tmp_path) else str(tmp_path / ".."))


def test_folders_that_vanish_or_are_unreadable_are_empty(bare, tmp_path):
    finder = ModuleFinder(bare(str(tmp_path / "none"), "", "\0", str(tmp_path / "none.zip")))
    assert finder.find("a") is None
