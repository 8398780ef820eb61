from django.contrib import admin

from reports.models import ReportRun


@admin.register(ReportRun)
class ReportRunAdmin(admin.ModelAdmin):
    list_display = ["name", "made_on", "requested_by", "row_count", "total"]
    list_filter = ["name"]
