from __future__ import annotations

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from erp.demo import day, runner  # noqa: F401  (importing the day registers its steps)
from erp.demo.seed import seed


class Command(BaseCommand):
    help = "Play a working day of the demonstration company through pages, API, services and tasks."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--list", action="store_true", help="list the steps and play none")
        parser.add_argument("--steps", metavar="A,B", help="play only these, in the order given")
        parser.add_argument("--fresh", action="store_true", help="empty the database first")
        parser.add_argument(
            "--count-queries", action="store_true", help="end with the SQL statements of each step"
        )

    def handle(self, **options) -> None:
        steps = runner.STEPS
        if options["list"]:
            for step in steps.values():
                self.stdout.write(f"{step.time}  {step.name:<24} {step.summary}")
            return
        names = options["steps"].split(",") if options["steps"] else list(steps)
        unknown = [name for name in names if name not in steps]
        if unknown:
            raise CommandError(f"there is no step {', '.join(unknown)}; --list shows them all")
        call_command("migrate", verbosity=0)
        if options["fresh"]:
            call_command("flush", interactive=False, verbosity=0)
        seed()
        today = runner.Day(self.stdout.write)
        today.run(names)
        if options["count_queries"]:
            self.stdout.write("\nSQL statements")
            for name, count in today.queries.items():
                self.stdout.write(f"{count:>6}  {name}")
            self.stdout.write(f"{sum(today.queries.values()):>6}  in all")
