from django.urls import path

from shop import views

urlpatterns = [
    path("", views.index, name="index"),
    path("upload/", views.upload, name="upload"),
    path("download/<int:size>", views.download, name="download"),
    path("environ", views.environ, name="environ"),
]
