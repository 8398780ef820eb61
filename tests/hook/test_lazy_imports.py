"""Modules that are imported lazily (from CPython 3.15 on) are monitored once they are loaded, and never loaded by us."""

import importlib
import sys
import types

import pytest
from support import Watch, monitor

from agent.base import imports
from agent.hook.imports import finder

pytestmark = pytest.mark.skipif(sys.version_info < (3, 15), reason="no import is lazy")

FILES = {
    "shop_lazy/__init__.py": (
        "lazy from .sales import create\nlazy from . import stock as store\nlazy import shop_lazy.deep.er\n"
        "lazy from .missing import nothing\nlazy from .again import create as twice\n"
    ),
    "shop_lazy/sales.py": "def create(x):\n if x: raise ValueError(x)\n return x\n",
    "shop_lazy/stock.py": "class Store:\n def take(self): raise KeyError('taken')\n",
    "shop_lazy/deep/__init__.py": "",
    "shop_lazy/deep/er.py": "def dig(): raise OSError('deep')\n",
    "shop_lazy/again.py": "lazy from .sales import create\n",
    "shop_uses.py": "lazy from shop_lazy.sales import create\nlazy import shop_lazy.deep.er\n",
}


@pytest.fixture
def watching(tmp_path, monkeypatch):
    """Returns a function that applies monitors with each import, as a process does."""
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    installed = []

    def watch(*paths):
        made = Watch(monitor(*paths))
        applier = made.applier

        def imported(name, module, own):
            applier.imported(name, module, own)
            found.every_module, found.waits = applier.needs_each_module, applier.waits

        def swallow(where):
            raise  # noqa: PLE0704

        names = {path.partition(":")[0].partition("*")[0].rstrip(".") for path in paths}
        found = finder.Finder(names, {"shop_lazy"} if "*" in "".join(paths) else (), imported, swallow)
        found.on_wait = applier.retry
        finder.install(found)
        installed.append(found)
        return made

    yield watch
    for each in installed:
        finder.uninstall(each)
    for name in [name for name in sys.modules if name.startswith("shop_")]:
        del sys.modules[name]


def loaded():
    return {name for name in sys.modules if name.startswith("shop_")}


def is_lazy(module, name):
    return type(vars(module)[name]) is types.LazyImportType


def test_a_module_is_loaded_by_its_first_use_and_its_first_call_is_monitored(watching):
    watch = watching("shop_lazy.sales:create", "shop_lazy.deep.er:dig")
    import shop_uses

    assert loaded() == {"shop_uses"}
    assert is_lazy(shop_uses, "create")
    with pytest.raises(ValueError, match="7"):
        shop_uses.create(7)
    assert loaded() == {"shop_uses", "shop_lazy", "shop_lazy.sales"}
    with pytest.raises(OSError, match="deep"):
        shop_uses.shop_lazy.deep.er.dig()
    assert [each[1] for each in watch.reports()] == ["create", "dig"]


@pytest.mark.parametrize(
    ("path", "use"),
    [
        ("shop_lazy:create", lambda shop: shop.create(7)),
        ("shop_lazy:store.Store.take", lambda shop: shop.store.Store().take()),
        ("shop_lazy:twice", lambda shop: shop.twice(7)),
    ],
)
def test_a_name_that_a_package_imports_lazily_waits_and_is_monitored_from_its_first_call_on(watching, path, use):
    watch = watching(path)
    import shop_lazy

    assert loaded() == {"shop_lazy"}
    ((what, _, _, why),) = watch.records
    assert what == "waiting"
    assert why.startswith("it is imported lazily from shop_lazy")
    with pytest.raises((ValueError, KeyError)):
        use(shop_lazy)
    assert len(watch.reports()) == 1
    assert watch.records[-1][0] == "patched"
    assert not watch.applier.needs_each_module


def test_a_pattern_and_a_module_that_is_not_there_load_nothing(watching):
    watch = watching("shop_lazy.*", "shop_lazy.sales.*", "shop_lazy:nothing", "shop_lazy:store.Store.missing")
    import shop_lazy

    assert loaded() == {"shop_lazy"}
    assert [each[0] for each in watch.records] == ["waiting", "waiting"]
    with pytest.raises(ImportError):
        shop_lazy.nothing
    assert is_lazy(shop_lazy, "create")
    assert shop_lazy.create(0) == 0
    assert [each[2] for each in watch.records if each[0] == "patched"] == ["shop_lazy.sales.create"]


def test_what_the_agent_loads_is_loaded_at_once_where_every_import_is_lazy(watching):
    before = sys.get_lazy_imports()
    sys.set_lazy_imports("all")
    try:
        with imports.Guarded():
            with imports.Guarded():
                pass
            exec("import shop_lazy", space := {})
        assert type(space["shop_lazy"]) is not types.LazyImportType
        assert "shop_lazy" in loaded()
        assert sys.get_lazy_imports() == "all"
    finally:
        sys.set_lazy_imports(before)
    with imports.Guarded():
        assert sys.get_lazy_imports() == before
    assert sys.get_lazy_imports() == before
