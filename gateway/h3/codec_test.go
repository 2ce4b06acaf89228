package h3_test

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go/quicvarint"

	"headgate/gateway/h3"
	"headgate/gateway/wire"
)

// theirs decodes a block with qpack.
func theirs(b []byte) (f wire.Fields, err error) {
	next := qpack.NewDecoder().Decode(b)
	for {
		field, err := next()
		if err == io.EOF {
			return f, nil
		}
		if err != nil {
			return nil, err
		}
		f.Add(field.Name, field.Value)
	}
}

// TestStaticTable: both libraries know the same table.
func TestStaticTable(t *testing.T) {
	for i := range 101 {
		b := []byte{0, 0, 0xc0 | byte(min(i, 63))}
		if i >= 63 {
			b = append(b, byte(i-63))
		}
		want, wantErr := theirs(b)
		got, err := h3.Decode(b, 1000, 10)
		if d := cmp.Diff(want, got); d != "" || (err != nil) != (wantErr != nil) {
			t.Errorf("%d: %v, %v: %s", i, err, wantErr, d)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(getHead([2]string{"cookie", "a=b"}, [2]string{"x-custom", "\xff"}).block())
	f.Add([]byte{0, 0, 0x23, 'a', 'b', 'c', 3, 'd', 'e', 'f', 0xd1, 0x51, 0x81, 0x1f})
	f.Add([]byte{0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := h3.Decode(b, 1<<20, 1000)
		if err != nil {
			return // ours is stricter: names, values
		}
		want, err := theirs(b)
		if err != nil {
			t.Fatalf("qpack does not take it: %v", err)
		}
		if d := cmp.Diff(want, append(wire.Fields(nil), got...)); d != "" {
			t.Error(d)
		}
	})
}

func FuzzEncode(f *testing.F) {
	f.Add(200, "Content-Type", "text/plain", "X-A", "b")
	f.Add(503, "server", "", "date", "x")
	f.Add(404, "x-frame-options", "sameorigin", "Vary", "accept-encoding")
	f.Add(299, strings.Repeat("long-", 30), strings.Repeat("v", 20000), "x", "\xff")
	f.Fuzz(func(t *testing.T, status int, name1, value1, name2, value2 string) {
		if status < 100 || status > 999 {
			return
		}
		b := h3.Encode(status, wire.Fields{{Name: name1, Value: value1}, {Name: name2, Value: value2}})
		r := bytes.NewReader(b)
		kind, _ := quicvarint.Read(r)
		n, err := quicvarint.Read(r)
		if kind != 1 || err != nil || int(n) != r.Len() {
			t.Fatalf("a frame of type %d with %d bytes, and there are %d: %v", kind, n, r.Len(), err)
		}
		got, err := h3.Decode(b[len(b)-r.Len():], 1<<30, 10)
		if err != nil {
			t.Fatal(err)
		}
		want := wire.Fields{{Name: ":status", Value: strconv.Itoa(status)}}
		for _, f := range (wire.Fields{{Name: name1, Value: value1}, {Name: name2, Value: value2}}) {
			if sent(f) {
				want.Add(strings.ToLower(f.Name), strings.Trim(f.Value, " \t"))
			}
		}
		if d := cmp.Diff(want, append(wire.Fields(nil), got...)); d != "" {
			t.Error(d)
		}
	})
}

// sent reports whether a field may be in an answer.
func sent(f wire.Field) bool {
	for _, hop := range []string{"connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "te", "content-length", ""} {
		if strings.EqualFold(f.Name, hop) {
			return false
		}
	}
	for _, c := range []byte(f.Name) {
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	for _, c := range []byte(f.Value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func TestPriority(t *testing.T) {
	for wish, want := range map[string]string{
		"": "3 false", "u=0": "0 false", "u=7, i": "7 true", "i=?1,u=2": "2 true", "i=?1, i=?0": "3 false", "u=8": "3 false", "u=-1": "3 false", "u": "3 false",
		"u=1;a=b , i;x": "1 true", "x=\"a\",,u=5": "5 false", "i=1": "3 false",
	} {
		u, i := h3.ParsePriority(wish)
		if got := strconv.Itoa(int(u)) + " " + strconv.FormatBool(i); got != want {
			t.Errorf("%q: got %s, want %s", wish, got, want)
		}
	}
}
