package storage_test

import (
	"strings"
	"testing"

	"headgate/tls/storage"
)

func TestURLs(t *testing.T) {
	for _, url := range []string{
		"redis://h", "redis://h:6379", "redis://h/0", "redis://:pw@h", "redis://u:p%40w@[::1]:1/15?prefix=x&lease=2s", "rediss://h/",
	} {
		open(t, url, nil)
	}
	const pw = "s3cret"
	for _, c := range []struct{ url, want string }{
		{"", "write file:/path"},
		{"/var/lib/headgate", "write file:/path"},
		{"s3://x:" + pw + "@y", "write file:/path"},
		{"redis:h:6379", "write redis://user:password@host"},
		{"redis://", "names no host"},
		{"redis://:" + pw + "@", "names no host"},
		{"redis://u:" + pw + "/x@h", "%2F"},
		{"redis://u:" + pw + "#x@h", "%23"},
		{"redis://u:%zz" + pw + "@h", "%25"},
		{"redis://u:" + pw + "@h:99999", "1 to 65535"},
		{"redis://u:" + pw + "@h:0", "1 to 65535"},
		{"redis://u:" + pw + "@h#x", "has a #"},
		{"redis://u:" + pw + ":?0", "host of the redis URL"},
		{"redis://u@h", "a user and no password"},
		{"redis://u:" + pw + "@h/x", "database"},
		{"redis://u:" + pw + "@h/-1", "database"},
		{"redis://u:" + pw + "@h/0/1", "database"},
		{"redis://h?prefix=", "prefix"},
		{"redis://h?prefix=a%00", "prefix"},
		{"redis://h?prefix=" + strings.Repeat("x", 129), "prefix"},
		{"redis://h?lease=1", "write a duration"},
		{"redis://h?lease=999ms", "from 1s to 10m"},
		{"redis://h?lease=1s&lease=2s", "twice"},
		{"redis://h?timeout=1s", "write prefix or lease"},
		{"redis://h?a;b", "cannot be read"},
	} {
		_, err := storage.Open(t.Context(), c.url, nil)
		wantErr(t, err, c.want, "storage: ")
		if strings.Contains(err.Error(), pw) {
			t.Errorf("%q: the error tells the password: %v", c.url, err)
		}
	}
}

func FuzzURL(f *testing.F) {
	for _, s := range []string{"//u:p@h:1/2?prefix=x&lease=5s", "//[::1", "x", "//h?%", "//u:a/b@c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		const pw = "N0tToBeSeen"
		for _, url := range []string{"redis:" + rest, "redis://u:" + pw + rest, "rediss://:" + pw + "@" + rest} {
			s, err := storage.Open(t.Context(), url, nil)
			if err == nil {
				_ = s.Close()
			} else if strings.Contains(err.Error(), pw) {
				t.Errorf("the error tells the password: %v", err)
			}
		}
	})
}
