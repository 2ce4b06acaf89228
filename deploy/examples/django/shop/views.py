"""Pages that show what a WSGI app sees of the gateway in front of it."""
import hashlib

from django.http import HttpResponseBadRequest, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

BLOCK = bytes(range(256)) * 256  # 64 KiB
LARGEST = 10 * 1024**3


@require_safe
def index(request):
    """Shows protocol, scheme, host and client address of this request."""
    meta = request.META
    seen = [
        ("Protocol", meta.get("SERVER_PROTOCOL", "")),
        ("Scheme", request.scheme),
        ("Host", request.get_host()),
        ("Client", f'{meta.get("REMOTE_ADDR", "")} port {meta.get("REMOTE_PORT", "")}'),
        ("Request id", meta.get("HTTP_X_REQUEST_ID", "none")),
        ("Trace", meta.get("HTTP_TRACEPARENT", "none")),
    ]
    return render(request, "shop/index.html", {"seen": seen})


@require_http_methods(["GET", "HEAD", "POST"])
def upload(request):
    """Takes a file and answers with its length and SHA-256."""
    if request.method != "POST":
        return render(request, "shop/upload.html")
    sent = request.FILES.get("file")
    if sent is None:
        return HttpResponseBadRequest("no file was sent\n", content_type="text/plain")
    digest = hashlib.sha256()
    for chunk in sent.chunks():
        digest.update(chunk)
    result = {"name": sent.name, "bytes": sent.size, "sha256": digest.hexdigest()}
    return render(request, "shop/upload.html", {"result": result})


@require_safe
def download(request, size):
    """Sends size bytes of a fixed pattern, block by block."""
    if size > LARGEST:
        return HttpResponseBadRequest("at most 10 GiB\n", content_type="text/plain")
    answer = StreamingHttpResponse(_blocks(size), content_type="application/octet-stream")
    answer["Content-Length"] = str(size)
    return answer


def _blocks(size):
    while size > 0:
        block = BLOCK[:size]
        size -= len(block)
        yield block


@require_safe
def environ(request):
    """Answers with the part of the environ that the gateway sent, as JSON."""
    seen = {k: v for k, v in request.environ.items() if isinstance(v, str)}
    return JsonResponse(seen, json_dumps_params={"indent": 2, "sort_keys": True})
