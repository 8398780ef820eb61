from django.contrib import admin

from inventory.models import PurchaseOrder, StockItem, StockMovement, Warehouse


@admin.register(Warehouse)
class WarehouseAdmin(admin.ModelAdmin):
    list_display = ["code", "name", "company", "is_default"]


@admin.register(StockItem)
class StockItemAdmin(admin.ModelAdmin):
    list_display = ["product", "warehouse", "on_hand", "reserved", "counting"]
    list_filter = ["warehouse", "counting"]
    readonly_fields = ["on_hand", "reserved"]


@admin.register(StockMovement)
class StockMovementAdmin(admin.ModelAdmin):
    list_display = ["booked_on", "item", "kind", "quantity", "reference"]
    list_filter = ["kind"]

    def has_change_permission(self, request, obj=None) -> bool:
        return False


@admin.register(PurchaseOrder)
class PurchaseOrderAdmin(admin.ModelAdmin):
    list_display = ["number", "item", "quantity", "expected_on", "status"]
