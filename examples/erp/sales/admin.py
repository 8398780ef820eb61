from django.contrib import admin

from sales.models import (
    Customer,
    Invoice,
    Order,
    OrderLine,
    PriceBreak,
    PriceList,
    Product,
    Quotation,
    QuotationLine,
)


class OrderLineInline(admin.TabularInline):
    model = OrderLine
    extra = 0


class QuotationLineInline(admin.TabularInline):
    model = QuotationLine
    extra = 0


class PriceBreakInline(admin.TabularInline):
    model = PriceBreak
    extra = 0


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["code", "name", "kind", "list_price", "cost", "active"]
    list_filter = ["kind", "active"]
    search_fields = ["code", "name"]


@admin.register(PriceList)
class PriceListAdmin(admin.ModelAdmin):
    list_display = ["code", "name", "discount_percent"]
    inlines = [PriceBreakInline]


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ["code", "name", "city", "status", "credit_limit"]
    list_filter = ["status", "company"]
    search_fields = ["code", "name"]


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["number", "customer", "status", "total", "due_date"]
    list_filter = ["status"]
    readonly_fields = ["number", "status", "total"]
    inlines = [OrderLineInline]


@admin.register(Quotation)
class QuotationAdmin(admin.ModelAdmin):
    list_display = ["number", "customer", "valid_until", "order"]
    inlines = [QuotationLineInline]


@admin.register(Invoice)
class InvoiceAdmin(admin.ModelAdmin):
    list_display = ["number", "order", "amount", "due_on", "paid_on"]
