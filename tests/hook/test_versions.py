"""What runs from its source tree has the version that it states itself."""

import sys
from types import ModuleType

import pytest
from support import monitor

from agent.config.requirements import of_a_source_tree
from agent.hook.targets.versions import fits


def stated(monkeypatch, name, **names):
    module = ModuleType(name)
    module.__dict__.update(names)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize(
    ("requirement", "fitting"),
    [
        ("odoo>=16", True), ("odoo>=17", True), ("odoo>=18", False), ("odoo<18", True), ("odoo<17", False),
        ("odoo>=15, <18", True), ("odoo==17", True), ("odoo==17.0", True), ("odoo!=17", False), ("odoo>17", False),
        ("odoo<=17", True), ("odoo", True),
    ],
)  # fmt: skip
def test_odoo_has_the_version_of_its_release(monkeypatch, requirement, fitting):
    stated(monkeypatch, "odoo.release", version_info=(17, 0, 0, "final", 0, ""))
    assert fits(monitor("odoo.http.dispatch_rpc", source=requirement)) is fitting


def test_a_release_between_two_has_the_number_of_the_one_before(monkeypatch):
    stated(monkeypatch, "odoo.release", version_info=("saas~17", 4, 0, "final", 0, ""))
    assert fits(monitor("odoo.http.dispatch_rpc", source="odoo>=17"))
    assert not fits(monitor("odoo.http.dispatch_rpc", source="odoo>=18"))


def test_frappe_has_the_version_of_its_package(monkeypatch):
    stated(monkeypatch, "frappe", __version__="15.41.0-beta")
    assert fits(monitor("frappe.api.handle", source="frappe>=14"))
    assert not fits(monitor("frappe.api.handle", source="frappe>=16"))


def test_nothing_is_left_out_where_no_version_is_stated(monkeypatch):
    monkeypatch.delitem(sys.modules, "odoo.release", raising=False)
    monkeypatch.delitem(sys.modules, "odoo", raising=False)
    assert fits(monitor("odoo.http.dispatch_rpc", source="odoo>=18"))
    assert fits(monitor("odoo.http.dispatch_rpc"))


def test_only_programs_that_run_from_their_source_are_compared_later(tmp_path):
    nowhere = [str(tmp_path)]
    assert of_a_source_tree("odoo>=16", nowhere) == "odoo>=16"
    assert of_a_source_tree(["Django>=4", "frappe>=14"], nowhere) == "frappe>=14"
    assert of_a_source_tree("Django>=4", nowhere) is None
    assert of_a_source_tree(None) is None
    (tmp_path / "odoo-14.0.dist-info").mkdir()
    (tmp_path / "odoo-14.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: odoo\nVersion: 14.0\n")
    assert of_a_source_tree("odoo>=16", nowhere) is None  # it is installed, and too old
