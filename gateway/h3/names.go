package h3

// Answers of indexOf that are no index.
const (
	unknownName = -1
	ofHop       = -2 // the engine's business, or without a meaning on HTTP/3
)

const indexDate = 6

// indexOf returns where the name of a field of an answer, in lower case, is first
// in the static table.
func indexOf(name []byte) int {
	switch string(name) {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "te", "content-length":
		return ofHop
	case "age":
		return 2
	case "content-disposition":
		return 3
	case "date":
		return indexDate
	case "etag":
		return 7
	case "last-modified":
		return 10
	case "link":
		return 11
	case "location":
		return 12
	case "set-cookie":
		return 14
	case "accept-ranges":
		return 32
	case "access-control-allow-headers":
		return 33
	case "access-control-allow-origin":
		return 35
	case "cache-control":
		return 36
	case "content-encoding":
		return 42
	case "content-type":
		return 44
	case "strict-transport-security":
		return 56
	case "vary":
		return 59
	case "x-content-type-options":
		return 61
	case "x-xss-protection":
		return 62
	case "access-control-allow-credentials":
		return 73
	case "access-control-allow-methods":
		return 76
	case "access-control-expose-headers":
		return 79
	case "alt-svc":
		return 83
	case "content-security-policy":
		return 85
	case "server":
		return 92
	case "timing-allow-origin":
		return 93
	case "x-frame-options":
		return 97
	}
	return unknownName
}

// sameAs returns which of the entries at index and behind it, of the same name,
// has the value; -1 if none has.
func sameAs(index int, value string) int {
	if value == "" {
		return -1
	}
	name := staticTable[index].Name
	for i := index; i < len(staticTable) && staticTable[i].Name == name; i++ {
		if staticTable[i].Value == value {
			return i
		}
	}
	return -1
}
