"""An app that is particular about PEP 3333: wsgiref.validate looks at what it is given."""
from wsgiref.validate import validator


def _application(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    lines = [b"%s %s\n" % (environ["REQUEST_METHOD"].encode(), environ["PATH_INFO"].encode("latin-1")), b"%d bytes\n" % len(body)]
    headers = [("Content-Type", "text/plain"), ("X-Many", "one"), ("X-Many", "two")]
    if "counted" in environ["QUERY_STRING"]:
        headers.append(("Content-Length", str(sum(map(len, lines)))))
    start_response("200 Very OK", headers)
    return iter(lines)


application = validator(_application)
