import pytest
from acceptance.host import Host
from acceptance.services import postgres_server, redis_server
from receiver import Receiver

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


@pytest.fixture
def theirs():
    """The Sentry of the host's own client."""
    with Receiver(strict=False) as running:  # what the host sends is the host's affair
        yield running
