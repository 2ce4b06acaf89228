import threading

threading.Thread(target=threading.Event().wait, name="for-ever").start()


def app(environ, start_response):
    start_response("200 OK", [])
    return [b"threaded"]
