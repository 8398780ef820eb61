from django.contrib import admin

from quality.models import Characteristic, Gauge, Inspection, Measurement, NonConformance


class MeasurementInline(admin.TabularInline):
    model = Measurement
    extra = 0


@admin.register(Gauge)
class GaugeAdmin(admin.ModelAdmin):
    list_display = ["code", "name", "calibrated_until"]


@admin.register(Characteristic)
class CharacteristicAdmin(admin.ModelAdmin):
    list_display = ["product", "name", "nominal", "tolerance", "unit"]


@admin.register(Inspection)
class InspectionAdmin(admin.ModelAdmin):
    list_display = ["number", "work_order", "inspected_on", "passed"]
    list_filter = ["passed"]
    inlines = [MeasurementInline]


@admin.register(NonConformance)
class NonConformanceAdmin(admin.ModelAdmin):
    list_display = ["number", "inspection", "description", "disposition"]
    list_filter = ["disposition"]
