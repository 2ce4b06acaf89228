import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.urls import path

settings.configure(DEBUG=False, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="no secret", LOGGING_CONFIG=None)


def hello(request):
    return HttpResponse("hello %s at %s" % (request.GET["name"], request.build_absolute_uri()))


def stream(request):
    return StreamingHttpResponse(str(n) for n in range(10))


def file(request):
    return FileResponse(open(__file__, "rb"))


def form(request):
    return HttpResponse("a=%s b=%d" % (request.POST["a"], len(request.POST["b"])))


def fail(request):
    raise RuntimeError("raised by a view")


urlpatterns = [path("hello/", hello), path("stream/", stream), path("file/", file), path("form/", form), path("raise/", fail)]
application = get_wsgi_application()
