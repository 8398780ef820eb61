from __future__ import annotations

from django.core.management.base import BaseCommand

from erp.demo.seed import seed


class Command(BaseCommand):
    help = "Fill the database with a demonstration company. Safe to run again."

    def add_arguments(self, parser) -> None:
        parser.add_argument(
            "--salespeople", type=int, default=0, metavar="N", help="with up to twelve more of them"
        )

    def handle(self, **options) -> None:
        for name, count in seed(options["salespeople"]).items():
            self.stdout.write(f"{count:>4} {name}")
