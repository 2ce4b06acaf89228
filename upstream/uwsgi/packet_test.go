package uwsgi_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headgate/upstream/uwsgi"
)

func TestHeaderBytes(t *testing.T) {
	got := uwsgi.AppendHeader([]byte("x"), 5, 0x1234, 7)
	if want := "x\x05\x34\x12\x07"; string(got) != want {
		t.Errorf("AppendHeader = %q, want %q", got, want)
	}
	m1, size, m2 := uwsgi.ParseHeader([4]byte{0x48, 0x54, 0x54, 0x50})
	if m1 != 0x48 || size != 0x5454 || m2 != 0x50 {
		t.Errorf(`ParseHeader("HTTP") = %#x, %#x, %#x`, m1, size, m2)
	}
	if _, size, _ := uwsgi.ParseHeader([4]byte{0, 0xff, 0xff, 0}); size != uwsgi.MaxVarsBytes {
		t.Errorf("biggest size = %d, want %d", size, uwsgi.MaxVarsBytes)
	}
}

func TestAppendRefusesWhatDoesNotFit(t *testing.T) {
	long := string(make([]byte, uwsgi.MaxVarsBytes+1))
	for name, f := range map[string]func(){
		"header":    func() { uwsgi.AppendHeader(nil, 0, uwsgi.MaxVarsBytes+1, 0) },
		"negative":  func() { uwsgi.AppendHeader(nil, 0, -1, 0) },
		"empty key": func() { uwsgi.AppendVar(nil, "", "v") },
		"key":       func() { uwsgi.AppendVar(nil, long, "v") },
		"value":     func() { uwsgi.AppendVar(nil, "K", long) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic: the length would have wrapped")
				}
			}()
			f()
		})
	}
}

func TestParseVars(t *testing.T) {
	tests := []struct {
		name  string
		block string
		want  []uwsgi.Var
		err   error
	}{
		{name: "empty block"},
		{
			name: "empty value at the end", block: "\x01\x00A\x01\x00b\x02\x00CD\x00\x00",
			want: []uwsgi.Var{{Key: "A", Value: "b"}, {Key: "CD"}},
		},
		{
			name: "duplicates and odd bytes are kept", block: "\x01\x00A\x01\x00\x00\x01\x00A\x01\x00\xff",
			want: []uwsgi.Var{{Key: "A", Value: "\x00"}, {Key: "A", Value: "\xff"}},
		},
		{name: "empty name", block: "\x01\x00A\x00\x00\x00\x00\x01\x00b", want: []uwsgi.Var{{Key: "A"}}, err: uwsgi.ErrEmptyKey},
		{name: "half a length", block: "\x01", err: uwsgi.ErrCutVar},
		{name: "name past the block", block: "\x03\x00AB", err: uwsgi.ErrCutVar},
		{name: "no value", block: "\x01\x00A", err: uwsgi.ErrCutVar},
		{name: "value past the block", block: "\x01\x00A\x02\x00b", err: uwsgi.ErrCutVar},
		{name: "length read as big endian", block: "\x00\x01A\x00\x01b", err: uwsgi.ErrCutVar},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := uwsgi.ParseVars([]byte(test.block))
			if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzParseVars(f *testing.F) {
	f.Add([]byte("\x01\x00A\x01\x00b\x02\x00CD\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x00"))
	f.Add([]byte("\xff\xffA"))
	f.Fuzz(func(t *testing.T, block []byte) {
		vars, err := uwsgi.ParseVars(block)
		var again []byte
		for _, v := range vars {
			again = uwsgi.AppendVar(again, v.Key, v.Value)
		}
		if err == nil && string(again) != string(block) {
			t.Errorf("encode(decode(x)) = %q, want %q", again, block)
		}
		if err != nil && string(block[:len(again)]) != string(again) {
			t.Errorf("variables before the fault = %q of %q", again, block)
		}
	})
}

func TestDialectText(t *testing.T) {
	for _, d := range []uwsgi.Dialect{uwsgi.DialectAuto, uwsgi.DialectUWSGI, uwsgi.DialectGunicorn} {
		text, err := d.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		got := uwsgi.Dialect(99)
		if err := got.UnmarshalText(text); err != nil || got != d {
			t.Errorf("%s: read back as %v, %v", text, got, err)
		}
	}
	var d uwsgi.Dialect
	const want = `dialect "nginx" is not known; write auto, uwsgi or gunicorn`
	if err := d.UnmarshalText([]byte("nginx")); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if _, err := uwsgi.Dialect(9).MarshalText(); err == nil {
		t.Error("an unknown dialect was written")
	}
}
