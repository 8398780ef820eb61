"""Modules of every origin are noticed when they have run, and are what they would have been."""

import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import pkgutil
import py_compile
import sys
import threading
import traceback
import warnings
import zipfile
from _thread import get_ident
from types import SimpleNamespace

import pytest

from agent.boot.lookout import Folder, listen
from agent.hook.imports import finder
from agent.hook.targets import registries


class Seen(list):
    def __call__(self, name, module, own=None):
        self.append((name, getattr(module, "VALUE", None)))


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder on sys.path, and a function that watches modules in it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    if sys.version_info < (3, 11):  # a process of pytest-xdist has a thread of its own, which runs no import
        monkeypatch.setattr(sys, "_current_frames", lambda: {get_ident(): None})
    installed = []
    before = set(sys.modules)
    order = list(sys.meta_path)

    def watch(*wanted, roots=(), packages=()):
        seen = Seen()

        def swallow(where):
            raise  # noqa: PLE0704

        made = finder.Finder(dict.fromkeys(wanted), dict.fromkeys(roots), seen, swallow)
        made.packages = packages
        finder.install(made)
        listen(made)
        installed.append(made)
        return seen

    def write(name, text):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        importlib.invalidate_caches()
        return file

    watch.write = write

    def stop():
        while installed:
            listen(None)
            finder.uninstall(installed.pop())

    watch.folder, watch.stop = tmp_path, stop
    yield watch
    stop()
    sys.meta_path[:] = order
    for name in set(sys.modules) - before:
        if name.startswith("shop"):
            del sys.modules[name]


def test_a_module_is_told_once_when_it_has_run_and_keeps_its_spec_and_loader(shop):
    shop.write("shop_a.py", "VALUE = 1\n")
    seen = shop("shop_a")
    import shop_a

    assert seen == [("shop_a", 1)]
    assert type(shop_a.__loader__) is importlib.machinery.SourceFileLoader
    assert shop_a.__spec__.loader is shop_a.__loader__
    assert vars(shop_a.__loader__) == {"name": "shop_a", "path": shop_a.__file__}
    assert importlib.reload(shop_a) is shop_a
    assert seen == [("shop_a", 1)] * 2


def test_packages_namespace_packages_and_patterns(shop):
    shop.write("shop_ns/part/__init__.py", "VALUE = 'package'\n")
    shop.write("shop_ns/part/sub.py", "VALUE = 'sub'\n")
    seen = shop(roots=["shop_ns"])
    import shop_ns.part.sub  # noqa: F401

    assert seen == [("shop_ns.part", "package"), ("shop_ns.part.sub", "sub")]


def test_zipped_modules(shop, monkeypatch):
    archive = shop.folder / "code.zip"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("shop_z.py", "VALUE = 'zip'\n")
    monkeypatch.syspath_prepend(str(archive))
    seen = shop("shop_z")
    import shop_z

    assert seen == [("shop_z", "zip")]
    assert type(shop_z.__loader__).__name__ == "zipimporter"
    assert shop_z.__spec__.loader is shop_z.__loader__


def test_a_frozen_module(shop):
    sys.modules.pop("__phello__", None)
    seen = shop("__phello__")
    if importlib.util.find_spec("__phello__") is None:
        pytest.skip("not in this interpreter")
    importlib.import_module("__phello__")
    assert [name for name, _ in seen] == ["__phello__"]
    del sys.modules["__phello__"]


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="loaders without exec_module are not supported any more")
def test_loaders_with_their_own_ideas(shop):
    class Loader(importlib.abc.Loader):
        __slots__ = ()
        made = 0

        def create_module(self, spec):
            Loader.made += 1

        def exec_module(self, module):
            module.VALUE = "shared"

    loader = Loader()

    class Legacy:
        def load_module(self, name):
            module = importlib.util.module_from_spec(importlib.machinery.ModuleSpec(name, None))
            module.VALUE = "legacy"
            module.__loader__ = self
            sys.modules[name] = module
            return module

    class Theirs:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "shop_shared":
                return importlib.machinery.ModuleSpec(name, loader)
            if name == "shop_legacy":
                return importlib.machinery.ModuleSpec(name, Legacy())
            return None

    sys.meta_path.append(Theirs)
    seen = shop("shop_shared", "shop_legacy")
    import shop_shared

    assert shop_shared.__loader__ is loader
    assert shop_shared.__spec__.loader is loader
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shop_legacy
    assert type(shop_legacy.__loader__) is Legacy
    assert seen == [("shop_shared", "shared"), ("shop_legacy", "legacy")]


def test_a_finder_that_puts_itself_in_front_takes_nothing_away(shop):
    class Loader(importlib.abc.Loader):
        def exec_module(self, module):
            module.VALUE = "theirs"

    class Theirs:
        @staticmethod
        def find_spec(name, path=None, target=None):
            return importlib.machinery.ModuleSpec(name, Loader()) if name.startswith("shop_theirs") else None

    seen = shop("shop_theirs", "shop_theirs_too")
    sys.meta_path.insert(0, Theirs)
    import shop_theirs  # noqa: F401

    assert seen == []  # it never came past us
    with pytest.raises(ImportError):
        importlib.import_module("shop_that_nobody_has")
    assert seen == [("shop_theirs", "theirs")]
    import shop_theirs_too  # noqa: F401

    assert seen[1:] == [("shop_theirs_too", "theirs")]


def test_a_module_that_puts_something_else_in_its_place(shop):
    shop.write(
        "shop_lazy.py",
        "import sys, types\nm = types.ModuleType('shop_lazy')\nm.VALUE = 'other'\nsys.modules[__name__] = m\n",
    )
    seen = shop("shop_lazy")
    import shop_lazy  # noqa: F401

    assert seen == [("shop_lazy", "other")]


@pytest.mark.parametrize("shared", [False, True])
def test_a_lazy_module_stays_asleep_and_is_told_when_it_has_run(shop, monkeypatch, shared):
    shop.write("shop_asleep.py", "VALUE = 'awake'\nLOG.append(1)\n")
    log = []
    monkeypatch.setitem(__builtins__, "LOG", log)

    class Shared(importlib.abc.Loader):
        def exec_module(self, module):
            module.VALUE = "awake"
            log.append(1)

    class Lazy:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name != "shop_asleep":
                return None
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            spec.loader = importlib.util.LazyLoader(Shared() if shared else spec.loader)
            return spec

    seen = shop("shop_asleep")
    sys.meta_path.insert(1, Lazy)
    import shop_asleep

    assert (log, seen) == ([], [])
    assert shop_asleep.VALUE == "awake"
    assert (log, seen) == ([1], [("shop_asleep", "awake")])
    assert type(shop_asleep.__loader__) is (Shared if shared else importlib.machinery.SourceFileLoader)


def test_a_spec_that_is_found_and_not_loaded_equals_the_loaded_one(shop):
    file = shop.write("shop_equal.py", "VALUE = 1\n")
    plain = importlib.util.find_spec("shop_equal")
    seen = shop("shop_equal")
    found = importlib.util.find_spec("shop_equal")
    assert found == plain and plain == found
    assert repr(found.loader).split()[0] == repr(plain.loader).split()[0]
    assert vars(found.loader) == {"name": "shop_equal", "path": str(file)}
    assert isinstance(found.loader, importlib.machinery.SourceFileLoader)
    assert found.loader.get_source("shop_equal") == "VALUE = 1\n"
    assert found.loader.get_code("shop_equal") == plain.loader.get_code("shop_equal")
    import shop_equal

    assert shop_equal.__spec__ == found
    assert type(shop_equal.__loader__) is importlib.machinery.SourceFileLoader
    made = importlib.util.module_from_spec(found)
    found.loader.exec_module(made)
    assert type(found.loader) is importlib.machinery.SourceFileLoader
    assert seen == [("shop_equal", 1)] * 2
    del found, plain
    gc.collect()
    assert not finder.methods_replaced


def test_circular_imports(shop):
    shop.write("shop_one.py", "import shop_two\nVALUE = 1\n")
    shop.write("shop_two.py", "import shop_one\nVALUE = 2\n")
    seen = shop("shop_one", "shop_two")
    import shop_one  # noqa: F401

    assert seen == [("shop_two", 2), ("shop_one", 1)]


def test_several_threads_at_once(shop):
    for number in range(20):
        shop.write(
            f"shop_t{number}.py", f"import shop_t{number + 1}\nVALUE = {number}\n" if number < 19 else "VALUE = 19\n"
        )
    seen = shop(*[f"shop_t{number}" for number in range(20)])
    barrier = threading.Barrier(4)
    errors = []

    def run(first):
        barrier.wait(60)
        try:
            importlib.import_module(f"shop_t{first}")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(first,)) for first in (0, 5, 0, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert sorted(seen) == sorted((f"shop_t{number}", number) for number in range(20))


def test_a_module_that_fails_is_not_told_and_its_traceback_is_its_own(shop):
    shop.write("shop_bad.py", "1 / 0\n")

    def lines():
        sys.modules.pop("shop_bad", None)
        try:
            importlib.import_module("shop_bad")
        except ZeroDivisionError:
            return traceback.format_exc().replace("another", "")
        raise AssertionError

    expected = lines()
    seen = shop("shop_bad")
    got = lines()
    assert seen == []
    if sys.version_info >= (3, 11):
        assert [line for line in got.splitlines() if "File" in line] == [
            line for line in expected.splitlines() if "File" in line
        ]


def test_a_warning_in_a_modules_body_finds_its_importer(shop):
    shop.write("shop_old.py", "import warnings\nwarnings.warn('old', DeprecationWarning, stacklevel=2)\n")
    shop("shop_old")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        import shop_old  # noqa: F401
    assert [warning.filename for warning in caught if str(warning.message) == "old"] == [__file__]


def _by_spec(name, file):
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _by_load_module(name, file):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.machinery.SourceFileLoader(name, str(file)).load_module()


def _by_lazy_loader(name, file):
    spec = importlib.util.spec_from_file_location(name, file)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.VALUE
    return module


def _by_walking(name, file):
    (found,) = [each for each in pkgutil.iter_modules([str(file.parent)]) if each.name == file.stem]
    spec = found.module_finder.find_spec(file.stem)
    spec.name = spec.loader.name = name
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _by_a_loader_of_its_own(name, file):
    class Loader(importlib.machinery.SourceFileLoader):
        def exec_module(self, module):
            super().exec_module(module)
            module.more = 1

    return _by_loader(name, Loader(name, str(file)))


def _without_source(name, file):
    compiled = py_compile.compile(str(file), str(file) + "c")
    return _by_loader(name, importlib.machinery.SourcelessFileLoader(name, compiled))


def _by_loader(name, loader):
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


LEGACY = hasattr(importlib.machinery.SourceFileLoader, "load_module")  # until Python 3.14
BY_HAND = [
    _by_spec,
    *[_by_load_module] * LEGACY,
    _by_lazy_loader,
    _by_walking,
    _by_a_loader_of_its_own,
    _without_source,
]


@pytest.mark.parametrize("load", BY_HAND)
def test_a_module_that_is_loaded_by_hand_is_noticed_once(shop, load):
    file = shop.write("addons/price.py", "VALUE = 7\n")
    seen = shop("shop_price")
    loaded = load("shop_price", file)
    assert seen == [("shop_price", 7)]
    assert type(loaded.__spec__.loader).__module__ != finder.__name__
    load("shop_stranger", file)
    assert seen == [("shop_price", 7)]


def test_a_file_that_is_loaded_under_another_name_is_what_imports_would_call_it(shop):
    file = shop.write("shop_addons/price.py", "VALUE = 7\n")
    shop.write("elsewhere/shop_addons/price.py", "VALUE = 8\n")
    init = shop.write("shop_addons/sub/__init__.py", "VALUE = 9\n")
    seen = shop("shop_addons.price", "shop_addons.sub", packages=["shop_addons"])
    _by_spec("plugin_17", file)
    _by_spec("plugin_18", shop.folder / "elsewhere/shop_addons/price.py")  # which no import would find
    _by_spec("plugin_19", init)
    assert seen == [("shop_addons.price", 7), ("shop_addons.sub", 9)]


def test_what_is_loaded_by_hand_fails_as_it_would_and_importlib_is_itself_again(shop):
    file = shop.write("shop_broken.py", "1 / 0\n")
    function = importlib.abc.InspectLoader.exec_module
    before = function.__code__

    def lines():
        with pytest.raises(ZeroDivisionError) as caught:
            _by_spec("shop_broken", file)
        return traceback.format_tb(caught.value.__traceback__)

    expected = lines()
    seen = shop("shop_broken")
    assert function.__code__ is not before
    assert lines() == expected
    assert seen == []
    shop.stop()
    assert function.__code__ is before


def test_importlibs_own_refusal_is_the_same(shop):
    class NoCode(importlib.machinery.SourceFileLoader):
        def get_code(self, name):
            return None

    shop("shop_none")
    with pytest.raises(ImportError, match=r"cannot load module 'shop_none' when get_code\(\) returns None"):
        _by_loader("shop_none", NoCode("shop_none", "/nowhere.py"))


@pytest.mark.parametrize("load", [_by_spec, lambda name, _: importlib.import_module(name)])
def test_nothing_of_ours_holds_the_code_of_functions_while_monitors_are_applied(shop, load):
    """Whoever holds it is looked for through the whole heap (`registries`)."""
    file = shop.write("shop_code.py", "VALUE = 1\ndef f(): pass\nclass C:\n def m(self): pass\n")
    held, own = [], []
    seen = shop("shop_code")
    seen.append = lambda _: held.extend(registries.kept(each) for each in (module["f"], vars(module["C"])["m"]))
    module = {}
    real = type(seen).__call__

    class Looks(type(seen)):
        def __call__(self, name, loaded, names=None):
            module.update(vars(loaded))
            own.append(names)
            real(self, name, loaded)

    seen.__class__ = Looks
    load("shop_code", file)
    assert held == [None, None]
    assert own == [{"f": {}, "C": {"m": {}}}]


def test_the_folder_on_the_path_has_all_that_a_finder_of_the_import_system_has(tmp_path):
    """setuptools before 66, which declares the namespace packages of addons, asks each for `find_module`."""
    finder = SimpleNamespace(find_spec=lambda name, target=None: None, find_module=lambda name: f"no {name}")
    folder = Folder(str(tmp_path), finder)
    assert folder.find_module("addons") == "no addons"
    assert not hasattr(folder, "find_nothing")
