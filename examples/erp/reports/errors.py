from __future__ import annotations

from erp.errors import BusinessError


class ReportError(BusinessError):
    code = "report"


class UnknownReport(ReportError):
    code = "unknown_report"
    status = 404

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no report {name!r}")
        self.name = name


class ArchiveCorrupt(ReportError):
    """The yearly archive does not add up; a person has to look at it."""

    code = "archive_corrupt"
