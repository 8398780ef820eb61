from __future__ import annotations

from django.core.management.base import BaseCommand

from erp.demo.seed import seed


class Command(BaseCommand):
    help = "Fill the database with a demonstration company. Safe to run again."

    def handle(self, **options) -> None:
        for name, count in seed().items():
            self.stdout.write(f"{count:>4} {name}")
