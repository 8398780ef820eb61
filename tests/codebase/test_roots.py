"""Which folders of a project are on the path, and by which names its code is imported."""

import os

import pytest

from agent.codebase import roots, search

BARE = search.here()._replace(entries=(), mapped={})


def project(folder, **files):
    """`a__b` is the file a/b.py, `a__` its `__init__.py`, `own` that of the folder."""
    for name, text in files.items():
        parts = ["__init__"] if name == "own" else [each or "__init__" for each in name.split("__")]
        path = folder.joinpath(*parts).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(folder)


def found(folder, around=BARE):
    on_path, packages = roots.layout(folder, around)
    return [os.path.relpath(root, folder) for root in on_path], packages


@pytest.mark.parametrize(
    ("files", "on_path", "packages"),
    [
        ({"erp__": "", "erp__sales": "", "docs__conf": "", "tests__": ""}, ["."], ["erp"]),
        ({"src__erp__": "", "src__erp__sales": ""}, [".", "src"], ["erp"]),
        # An application may be called as folders are that tools make; those have no `__init__.py`.
        ({"build__": "", "build__models": "", "dist__lib__": "", "env__x": "", "stock__": ""}, ["."], ["build", "stock"]),
        ({"app": "", "build__": "from services.orders import create\n", "services__orders": ""}, ["."], ["app", "build", "services"]),
        # Modules without a package, and folders without an `__init__.py` that the source imports from.
        ({"app": "from services.orders import create\n", "services__orders": "", "scripts__x": ""}, ["."], ["app", "services"]),
        ({"setup": "", "conftest": "", "test_x": "", "_own": "", "noxfile": "", "app": ""}, ["."], ["app"]),
        # `src` itself is what is imported: it is not on the path.
        ({"run": "from src.sales import orders\n", "src__sales__orders": ""}, ["."], ["run", "src"]),
        # Projects of Django that are not at the top; the highest of them.
        ({"backend__manage": "", "backend__erp__": "", "backend__sample__manage": ""}, [".", "backend"], ["erp"]),
        ({"manage": "", "erp__": "", "sample__manage": ""}, ["."], ["erp"]),
        # With `manage.py` in a package: on the path, if its code imports from it as if it was.
        ({"erp__": "", "erp__manage": "from sales import x\n", "erp__sales__": ""}, [".", "erp"], ["sales"]),
        ({"erp__": "", "erp__manage": "from erp.sales import x\n", "erp__sales__": ""}, ["."], ["erp"]),
    ],
)  # fmt: skip
def test_names_are_those_that_the_source_imports(tmp_path, files, on_path, packages):
    assert found(project(tmp_path, **files)) == (on_path, packages)


def test_a_folder_that_is_a_package_is_imported_from_the_one_above_it(tmp_path):
    project(tmp_path, erp__="", erp__apps__="", erp__apps__sales__="from erp.apps import stock\n", erp__apps__stock="")
    assert found(str(tmp_path / "erp")) == ([".."], ["erp"])
    assert found(str(tmp_path / "erp" / "apps")) == (["../.."], ["erp.apps"])
    assert roots.package_at(str(tmp_path), BARE) is None


def test_a_folder_that_its_own_code_imports_from_is_on_the_path(tmp_path):
    folder = project(tmp_path / "erp", own="", sales__="from stock import count\nimport celery\n", stock="", celery="")
    assert found(folder) == (["."], ["celery", "sales", "stock"])
    # What the environment has by that name does not count: this is a package with relative imports.
    folder = project(tmp_path / "shop", own="", celery="from celery import Celery\nfrom .x import y\n", x="")
    (tmp_path / "site" / "celery").mkdir(parents=True)
    (tmp_path / "site" / "celery" / "__init__.py").touch()
    assert found(folder, search.widened(BARE, [str(tmp_path / "site")])) == ([".."], ["shop"])
    folder = project(tmp_path / "old", own="", manage="", sales__="")
    assert found(folder) == (["."], ["sales"]), "nothing is imported, and `manage.py` is started here"
