from __future__ import annotations

import io

from django.core.management import CommandError, call_command

from erp.demo.seed import seed
from erp.testing import ErpTestCase


class DemoTests(ErpTestCase):
    def test_seeding_again_changes_nothing(self):
        self.assertEqual(seed(), seed())

    def test_steps_can_be_played_on_their_own(self):
        out = io.StringIO()
        call_command("working_day", steps="bom-cycle,order-rejected", stdout=out)
        self.assertEqual([line[:5] for line in out.getvalue().splitlines()], ["11:26", "09:33"])

    def test_an_unknown_step_is_refused(self):
        with self.assertRaises(CommandError):
            call_command("working_day", steps="coffee")

    def test_a_busier_company_has_more_salespeople(self):
        self.assertEqual(seed(salespeople=2)["users"], seed()["users"])
        self.assertTrue(self.user("filip").has_perm("sales.confirm_order"))

    def test_migrations_are_up_to_date(self):
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)
