package storage_test

import (
	"bytes"
	"fmt"
	"testing"
)

// BenchmarkLoad loads 5,000 values one by one, each as large as a chain.
func BenchmarkLoad(b *testing.B) {
	for name, url := range map[string]func() string{
		"file":  func() string { return "file:" + b.TempDir() },
		"redis": func() string { return newServer(b).url("") },
	} {
		b.Run(name, func(b *testing.B) {
			s := open(b, url(), nil)
			keys := make([]string, 5000)
			value := bytes.Repeat([]byte("x"), 4000)
			for i := range keys {
				keys[i] = fmt.Sprintf("certificates/acme/%d.example.com/%d.example.com.json", i, i)
				if err := s.Store(b.Context(), keys[i], value); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				for _, k := range keys {
					if v, err := s.Load(b.Context(), k); err != nil || len(v) != len(value) {
						b.Fatal(len(v), err)
					}
				}
			}
		})
	}
}
