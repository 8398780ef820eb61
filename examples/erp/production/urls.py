from django.urls import path

from production import views

app_name = "production"

urlpatterns = [
    path("", views.WorkOrderList.as_view(), name="work-orders"),
    path("plan/", views.plan, name="plan"),
    path("<str:number>/", views.work_order, name="work-order"),
    path("<str:number>/release/", views.release, name="release"),
]
