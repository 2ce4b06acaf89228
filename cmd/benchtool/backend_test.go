package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// packet returns a uwsgi packet of these variables.
func packet(vars ...string) []byte {
	var b []byte
	for _, s := range vars {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	head := []byte{0, 0, 0, 0}
	binary.LittleEndian.PutUint16(head[1:], uint16(len(b)))
	return append(head, b...)
}

func TestBackendUWSGI(t *testing.T) {
	path := startBackend(t)
	body := strings.Repeat("x", 700_000)
	for _, tt := range []struct {
		name  string
		parts []string
		size  int
	}{
		{"small", []string{string(packet("PATH_INFO", "/"))}, 1024},
		{"bytes", []string{string(packet("A", "b", "PATH_INFO", "/bytes/1000000"))}, 1_000_000},
		{"no bytes", []string{string(packet("PATH_INFO", "/bytes/0"))}, 0},
		{"not a number", []string{string(packet("PATH_INFO", "/bytes/-1"))}, 1024},
		{"upload", []string{string(packet("CONTENT_LENGTH", fmt.Sprint(len(body)), "PATH_INFO", "/")), body}, 1024},
		{"upload with the packet", []string{string(packet("CONTENT_LENGTH", "3", "PATH_INFO", "/")) + "abc"}, 1024},
		{"in pieces", []string{string(packet("PATH_INFO", "/bytes/7"))[:3], string(packet("PATH_INFO", "/bytes/7"))[3:]}, 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := exchange(t, path, tt.parts...)
			head, rest, _ := bytes.Cut(got, []byte("\r\n\r\n"))
			if want := fmt.Sprintf("Content-Length: %d", tt.size); !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) || !bytes.Contains(head, []byte(want)) {
				t.Errorf("head is %q, want 200 with %s", head, want)
			}
			if len(rest) != tt.size {
				t.Errorf("the body has %d bytes, want %d", len(rest), tt.size)
			}
		})
	}
}

func TestBackendEndsOnNonsense(t *testing.T) {
	path := startBackend(t)
	for _, sent := range []string{"\x00\x03\x00\x00abc", string(packet("CONTENT_LENGTH", "-7")), string(packet("CONTENT_LENGTH", "x"))} {
		if got := exchange(t, path, sent); len(got) != 0 {
			t.Errorf("%q was answered with %q", sent, got)
		}
	}
	if got := exchange(t, path, "\x64\x00\x00\x00"); string(got) != "\x64\x00\x00\x01" {
		t.Errorf("a ping was answered with %q", got)
	}
}

// exchange sends the parts on one connection, and returns all that comes back.
func exchange(t *testing.T, path string, parts ...string) []byte {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, part := range parts {
		if _, err := io.WriteString(c, part); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := io.ReadAll(c) // what is unread there resets the connection
	return got
}

func TestBackendHTTP(t *testing.T) {
	path := startBackend(t, "--http")
	dials := 0
	tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		dials++
		return net.Dial("unix", path)
	}}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	for _, tt := range []struct {
		path string
		body int
		size int64
	}{{"/", 0, 1024}, {"/bytes/300000?q", 0, 300_000}, {"/", 500_000, 1024}, {"/bytes/5", 10, 5}} {
		resp, err := client.Post("http://localhost"+tt.path, "text/plain", strings.NewReader(strings.Repeat("x", tt.body)))
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || n != tt.size || err != nil {
			t.Errorf("%s = %d with %d bytes (%v), want 200 with %d", tt.path, resp.StatusCode, n, err, tt.size)
		}
	}
	if dials != 1 {
		t.Errorf("%d connections were opened, want one that is kept", dials)
	}
}

func FuzzVars(f *testing.F) {
	f.Add(packet("PATH_INFO", "/bytes/1", "CONTENT_LENGTH", "12")[headerSize:])
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		path, length, err := vars(b)
		if err == nil && (len(path) > len(b) || length < 0) {
			t.Errorf("vars(%q) = %q, %d", b, path, length)
		}
		if n := size(path); n < -1 {
			t.Errorf("size(%q) = %d", path, n)
		}
	})
}

func FuzzHeads(f *testing.F) {
	f.Add([]byte("POST /bytes/3?x HTTP/1.1\r\nHost: a\r\ncontent-length: 5"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if path, n, err := parseHead(b); err == nil && (n < 0 || len(path) > len(b)) {
			t.Errorf("parseHead(%q) = %q, %d", b, path, n)
		}
		if n, err := parseAnswer(b); err == nil && n < 0 {
			t.Errorf("parseAnswer(%q) = %d", b, n)
		}
	})
}
