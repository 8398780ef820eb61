from django.contrib import admin

from production.models import BillOfMaterials, BomLine, WorkCenter, WorkOrder


class BomLineInline(admin.TabularInline):
    model = BomLine
    extra = 0


@admin.register(WorkCenter)
class WorkCenterAdmin(admin.ModelAdmin):
    list_display = ["code", "name", "hours_per_day", "down", "down_reason"]


@admin.register(BillOfMaterials)
class BillOfMaterialsAdmin(admin.ModelAdmin):
    list_display = ["product", "work_center", "hours_per_piece"]
    inlines = [BomLineInline]


@admin.register(WorkOrder)
class WorkOrderAdmin(admin.ModelAdmin):
    list_display = ["number", "product", "quantity", "work_center", "status", "due_date"]
    list_filter = ["status", "work_center"]
