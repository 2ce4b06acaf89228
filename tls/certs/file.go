package certs

import (
	"fmt"
	"io"
	"os"
)

const maxFile = 1 << 20

// readFile reads a file of a size that a certificate, a key or a chain can have.
func readFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes: it is no certificate or key", f.Name(), maxFile)
	}
	return data, nil
}
