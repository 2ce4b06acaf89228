package files

import (
	"io/fs"
	"strings"
)

// maxName bounds names: no path that is longer can be opened (PATH_MAX of Linux).
const maxName = 4095

// wellKnown is where RFC 8615 puts what is not hidden although it begins with a dot.
const wellKnown = ".well-known"

// servable reports whether name may be looked for below the root.
func (s *Server) servable(name string) bool {
	if len(name) > maxName || strings.IndexByte(name, 0) >= 0 || strings.IndexByte(name, '\\') >= 0 {
		return false
	}
	if name == "" { // the root itself
		return true
	}
	return name != "." && fs.ValidPath(name) && (s.o.Hidden || !hidden(name))
}

// hidden reports whether a segment of name begins with a dot.
func hidden(name string) bool {
	for seg := range strings.SplitSeq(name, "/") {
		if seg != "" && seg[0] == '.' && seg != wellKnown {
			return true
		}
	}
	return false
}

// suffix returns what the name of a file with that coding ends with, "" if the coding
// is not known.
func suffix(coding string) string {
	switch coding {
	case "br":
		return ".br"
	case "zstd":
		return ".zst"
	case "gzip":
		return ".gz"
	}
	return ""
}

// compressed reports whether name is that of a compressed form.
func compressed(name string) bool {
	return strings.HasSuffix(name, ".br") || strings.HasSuffix(name, ".zst") || strings.HasSuffix(name, ".gz")
}
