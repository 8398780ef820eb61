from django.urls import path

from inventory import views

app_name = "inventory"

urlpatterns = [
    path("", views.StockList.as_view(), name="stock"),
    path("<int:pk>/", views.StockDetail.as_view(), name="item"),
]
