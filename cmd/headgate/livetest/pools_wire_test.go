package livetest_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// wire is one HTTP/1.1 connection. Unlike http.Client it never sends a request a
// second time, and it costs little: hundreds of them leave the processors to what
// is measured.
type wire struct {
	addr string
	conn net.Conn // nil until the first request, and after an error
	in   *bufio.Reader
}

// reply is a whole answer.
type reply struct {
	status int
	header http.Header
	body   string
}

// wireTimeout is longer than anything that may take long here.
const wireTimeout = 45 * time.Second

// open connects if there is no connection.
func (w *wire) open() error {
	if w.conn != nil {
		return nil
	}
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		return err
	}
	w.conn, w.in = c, bufio.NewReaderSize(c, 2048)
	return nil
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// ask sends one request and reads the answer to its end. An error closes the
// connection.
func (w *wire) ask(method, path string, body []byte) (reply, error) {
	if err := w.open(); err != nil {
		return reply{}, err
	}
	a, err := w.exchange(method, path, body)
	if err != nil {
		w.close()
	}
	return a, err
}

func (w *wire) exchange(method, path string, body []byte) (reply, error) {
	if err := w.send(method, path, body); err != nil {
		return reply{}, err
	}
	return w.receive()
}

// send sends one request by an open connection.
func (w *wire) send(method, path string, body []byte) error {
	_ = w.conn.SetDeadline(time.Now().Add(wireTimeout)) // an error shows in the next call
	_, err := w.conn.Write(requestBytes(method, path, body))
	return err
}

// receive reads the answer to what was sent, to its end.
func (w *wire) receive() (reply, error) {
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.Close {
		w.close()
	}
	return reply{resp.StatusCode, resp.Header, string(b)}, err
}

func requestBytes(method, path string, body []byte) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, host)
	if body != nil {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(body))
	}
	return append(append(b, "\r\n"...), body...)
}

// measureUnit returns how long a worker is busy with one request for path, the
// median of requests one after the other, straight to the worker, with nothing of
// ours between; at most what the app alone may take.
func measureUnit(t testing.TB, socket, path, query string, most time.Duration) time.Duration {
	t.Helper()
	var all []time.Duration
	for range 25 {
		begin := time.Now()
		if err := askWorker(socket, path, query); err != nil {
			t.Fatal(err)
		}
		all = append(all, time.Since(begin))
	}
	return min(median(all), most)
}

// askWorker speaks uwsgi: a packet of variables, and HTTP until the worker closes.
func askWorker(socket, path, query string) error {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	var vars []byte
	for _, v := range [][2]string{
		{"REQUEST_METHOD", "GET"}, {"PATH_INFO", path}, {"QUERY_STRING", query}, {"SERVER_PROTOCOL", "HTTP/1.1"}, {"HTTP_HOST", host},
	} {
		for _, s := range v {
			vars = binary.LittleEndian.AppendUint16(vars, uint16(len(s)))
			vars = append(vars, s...)
		}
	}
	packet := append([]byte{0, byte(len(vars)), byte(len(vars) >> 8), 0}, vars...)
	if _, err := c.Write(packet); err != nil {
		return err
	}
	answer, err := io.ReadAll(c)
	if err == nil && len(answer) == 0 {
		err = errors.New("the worker did not answer")
	}
	return err
}
