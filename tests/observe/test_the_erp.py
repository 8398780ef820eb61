"""Which code is the ERP's: by where it lies, and by the packages that are named."""

import os

import pytest

from agent.observe.event import the_erp

SITE = "/v/lib/python3.12/site-packages"


@pytest.fixture(autouse=True)
def packages():
    the_erp.follow(["mayan", "acme.erp", "single"])
    yield
    the_erp.follow([])


@pytest.mark.parametrize(
    ("path", "erps"),
    [
        ("/srv/erp/sales/orders.py", True),
        (f"{SITE}/mayan/apps/documents/views.py", True),
        (f"{SITE}/mayan-4.12-py3.12.egg/mayan/apps/views.py", True),
        (f"{SITE}/single.py", True),
        (f"{SITE}/single.cpython-312-x86_64-linux-gnu.so", True),
        ("/usr/lib/python3/dist-packages/mayan/apps.py", True),
        (f"{SITE}/acme/erp/orders.py", True),
        (f"{SITE}/acme/tools/orders.py", False),  # another part of the namespace
        (f"{SITE}/mayan_tools/x.py", False),
        (f"{SITE}/django/db/models/query.py", False),
        (f"{SITE}/trytond/modules/sale/sale.py", True),
        (f"{SITE}/trytond/model/modelsql.py", False),
        (os.__file__, False),
        ("<string>", False),
    ],
)
def test_whose_a_file_is(path, erps):
    assert the_erp.looks_like_the_erp(path) is erps


def test_without_names_what_is_installed_is_a_library():
    the_erp.follow([])
    assert not the_erp.looks_like_the_erp(f"{SITE}/mayan/apps/documents/views.py")
    assert the_erp.looks_like_the_erp("/srv/erp/sales/orders.py")
