package uwsgi

// known is the name of a variable that every packet may have, ready to be written.
type known struct {
	name string
	sent [knownBytes]byte // its length and the name, as they are sent
	word int              // in seen
	bit  uint64
}

// knownBytes is so much that every known name fits, and few enough to be copied
// without a call.
const knownBytes = 32

func know(name string) known {
	k := known{name: name}
	k.sent[0] = byte(len(name))
	copy(k.sent[2:], name)
	k.word, k.bit = slot(name)
	return k
}

// The names of what Encode makes of a request.
var (
	queryString    = know("QUERY_STRING")
	requestMethod  = know("REQUEST_METHOD")
	contentLength  = know("CONTENT_LENGTH")
	contentType    = know("CONTENT_TYPE")
	requestURI     = know("REQUEST_URI")
	pathInfo       = know("PATH_INFO")
	scriptName     = know("SCRIPT_NAME")
	serverProtocol = know("SERVER_PROTOCOL")
	requestScheme  = know("REQUEST_SCHEME")
	remoteAddr     = know("REMOTE_ADDR")
	remotePort     = know("REMOTE_PORT")
	serverName     = know("SERVER_NAME")
	serverPort     = know("SERVER_PORT")
	httpHost       = know("HTTP_HOST")
	httpUpgrade    = know("HTTP_UPGRADE")
	httpConnection = know("HTTP_CONNECTION")
	forwardedFor   = know("HTTP_X_FORWARDED_FOR")
	httpsOn        = know("HTTPS")
	uwsgiScheme    = know("UWSGI_SCHEME")
)

// seen is a set of names with collisions: one that is not in it has not been put
// in, and of one that is in it that has to be looked up.
type seen [4]uint64

// slot picks the bit of a name.
func slot[S ~string | ~[]byte](name S) (word int, bit uint64) {
	n := len(name)
	if n == 0 {
		return 0, 1
	}
	h := uint(n)*37 ^ uint(name[n-1])*11 ^ uint(name[n/2])*5 ^ uint(name[n*3/4])
	return int(h>>6) & 3, 1 << (h & 63)
}

func slotOf(names ...string) (s seen) {
	for _, name := range names {
		word, bit := slot(name)
		s[word] |= bit
	}
	return s
}

// add puts the names of o in.
func (s *seen) add(o *seen) {
	for i := range s {
		s[i] |= o[i]
	}
}

// meets reports whether both may have a name in common.
func (s *seen) meets(o *seen) bool {
	return s[0]&o[0]|s[1]&o[1]|s[2]&o[2]|s[3]&o[3] != 0
}

// staying are the names for which stays may report true.
var staying = slotOf(
	"HTTP_HOST", "HTTP_PROXY", "HTTP_PROXY_AUTHORIZATION", "HTTP_X_FORWARDED_SSL",
	"CONTENT_LENGTH", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_TRANSFER_ENCODING",
	"HTTP_CONNECTION", "HTTP_KEEP_ALIVE", "HTTP_PROXY_CONNECTION", "HTTP_TE", "HTTP_TRAILER",
	"HTTP_UPGRADE", "HTTP_EXPECT", "HTTP_HTTP2_SETTINGS",
)
