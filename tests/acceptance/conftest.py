import pytest
from acceptance.host import Host
from acceptance.services import postgres_server, redis_server

__all__ = ["postgres_server", "redis_server"]


def pytest_collection_modifyitems(items):
    for item in items:
        if "/acceptance/" in str(item.path):
            item.add_marker(pytest.mark.acceptance)


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path)
    yield made
    made.clean()
