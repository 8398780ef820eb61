import sys
import threading

import pytest

from agent.sdk.import_block import Absent


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "not_used_yet.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "not_used_yet"
    sys.modules.pop("not_used_yet", None)


def test_what_is_not_imported_cannot_be_for_as_long(package):
    with Absent([package]):
        with pytest.raises(ModuleNotFoundError):
            __import__(package)
    assert __import__(package).value == 1
    assert not [finder for finder in sys.meta_path if isinstance(finder, Absent)]


def test_what_is_imported_already_stays(package):
    __import__(package)
    with Absent([package]):
        assert __import__(package).value == 1


def test_other_threads_import_what_they_want(package):
    seen = []
    with Absent([package]):
        thread = threading.Thread(target=lambda: seen.append(__import__(package).value))
        thread.start()
        thread.join()
    assert seen == [1]
