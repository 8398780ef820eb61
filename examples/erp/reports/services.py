from __future__ import annotations

import csv
import io

from reports.builders import BUILDERS, Report
from reports.errors import UnknownReport
from reports.models import ReportRun


def run_report(name: str, company, *, requested_by=None) -> Report:
    """Build a report and record who requested it. Raises ``UnknownReport``."""
    try:
        build = BUILDERS[name]
    except KeyError:
        raise UnknownReport(name) from None
    report = build(company)
    ReportRun.objects.create(
        name=name, company=company, requested_by=requested_by, row_count=len(report.rows), total=report.total
    )
    return report


def as_csv(report: Report) -> str:
    """The report with a heading line, as spreadsheets here read it: semicolons, CRLF."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";")
    writer.writerow(report.columns)
    writer.writerows(report.rows)
    return out.getvalue()
