def application(environ, start_response):
    body = __name__.rpartition(".")[2].encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
