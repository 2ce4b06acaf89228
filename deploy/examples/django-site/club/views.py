"""The pages of the site."""
import uuid
from urllib.parse import quote

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from club.models import Document


@require_safe
def index(request):
    """The first page, which says which version of the app has made it."""
    documents = Document.objects.all() if request.user.is_authenticated else []
    return render(request, "club/index.html", {"version": settings.VERSION, "documents": documents})


@require_safe
def prices(request):
    """A page that is the same for all; the number shows when it was made anew."""
    answer = render(request, "club/prices.html", {"made": uuid.uuid4(), "prices": range(200)})
    answer["Cache-Control"] = "public, max-age=60"
    return answer


@require_safe
def item(request, number):
    return render(request, "club/item.html", {"number": number, "query": request.GET.urlencode()})


@login_required
@require_safe
def document(request, number):
    """Decides who may have a file; the gateway sends it."""
    if not request.user.has_perm("club.view_document"):
        raise PermissionDenied
    found = get_object_or_404(Document, pk=number)
    name = found.file.name.rsplit("/", 1)[-1]
    answer = HttpResponse()
    del answer["Content-Type"]  # the gateway knows that of the file
    answer["X-Accel-Redirect"] = "/protected/" + quote(found.file.name)
    answer["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name)}"
    answer["Cache-Control"] = "private, no-store"
    return answer


@login_required
@require_safe
def report(request, name):
    """As document, but by the path of the file."""
    file = settings.VAR / "reports" / f"{name}.csv"
    if not file.exists():
        raise Http404
    answer = HttpResponse(content_type="text/csv")
    answer["X-Sendfile"] = str(file)
    return answer
