package access

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// The algorithms of HashPassword.
const (
	Argon2id = "argon2id" // the default
	Bcrypt   = "bcrypt"   // what other servers read
)

// What HashPassword writes: OWASP's second choice of Argon2id, which costs 19 MiB,
// and a cost of bcrypt of about the same time.
const (
	usualMemory = 19456 // KiB
	usualTime   = 2
	usualLanes  = 1
	usualCost   = 12
	saltBytes   = 16
	keyBytes    = 32
)

// Bounds of what a file may demand of each request.
const (
	maxMemory = 256 << 10 // KiB
	maxTime   = 10
	maxLanes  = 16
	maxCost   = 15
	minSalt   = 8
	minKey    = 16
	maxCoded  = 64 // bytes of a salt and of a key
)

// maxBcrypt is what bcrypt takes of a password.
const maxBcrypt = 72

// HashPassword returns what stands behind the name of a user in a file of passwords.
// It blocks for some 100 ms and takes 19 MiB. algorithm is Argon2id, also for "", or
// Bcrypt, which takes at most 72 bytes. An error says what is wrong with the password,
// and never has it in its text.
func HashPassword(password, algorithm string) (string, error) {
	switch {
	case password == "":
		return "", errors.New("the password is empty: write one")
	case len(password) > maxPassword:
		return "", fmt.Errorf("the password is longer than %d bytes: choose a shorter one", maxPassword)
	case !printable(password):
		return "", errors.New("the password has control characters or is not UTF-8, which no browser sends: choose another")
	}
	switch algorithm {
	case "", Argon2id:
		var salt [saltBytes]byte
		rand.Read(salt[:]) // never fails
		a := argon{memory: usualMemory, time: usualTime, lanes: usualLanes, salt: salt[:]}
		a.key = a.derive(password, keyBytes)
		return a.String(), nil
	case Bcrypt:
		if len(password) > maxBcrypt {
			return "", fmt.Errorf("the password is longer than the %d bytes that bcrypt takes: choose a shorter one, or use argon2id", maxBcrypt)
		}
		out, err := bcrypt.GenerateFromPassword([]byte(password), usualCost)
		return string(out), err
	}
	return "", fmt.Errorf("%q is not an algorithm: write argon2id or bcrypt", algorithm)
}

// hash is the hash of one user's password.
type hash interface {
	// verify reports whether password is the one, in a time that does not tell.
	verify(password string) bool
}

// errors of parseHash, without the cure.
var (
	errNoHash  = errors.New("has no hash")
	errUnknown = errors.New("has no hash that is known, or a password in clear text")
	errBcrypt  = errors.New("has a hash of bcrypt that is not whole")
	errArgon   = errors.New("has a hash of Argon2id that is not whole")
)

// parseHash reads a hash. The error never has any of it.
func parseHash(s string) (hash, error) {
	switch {
	case s == "":
		return nil, errNoHash
	case strings.HasPrefix(s, "$argon2id$"):
		return parseArgon(s)
	case strings.HasPrefix(s, "$2"):
		return parseBcrypt(s)
	}
	for _, broken := range [...]struct{ begin, name string }{
		{"$apr1$", "MD5"},
		{"$1$", "MD5"},
		{"{SHA}", "SHA-1"},
		{"{SSHA}", "SHA-1"},
		{"$5$", "crypt"},
		{"$6$", "crypt"},
		{"$y$", "crypt"},
		{"$argon2i$", "Argon2i"},
		{"$argon2d$", "Argon2d"},
	} {
		if strings.HasPrefix(s, broken.begin) {
			return nil, fmt.Errorf("has a hash of %s, which is not taken", broken.name)
		}
	}
	return nil, errUnknown
}

// blowfish is a hash of bcrypt.
type blowfish []byte

func parseBcrypt(s string) (hash, error) {
	const begin, whole = len("$2b$12$"), 60
	if len(s) != whole || !strings.Contains("aby", s[2:3]) || s[3] != '$' || s[6] != '$' {
		return nil, errBcrypt
	}
	for i := begin; i < whole; i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '.' <= c && c <= '9': // also the slash
		default:
			return nil, errBcrypt
		}
	}
	cost, err := bcrypt.Cost([]byte(s))
	switch {
	case err != nil:
		return nil, errBcrypt
	case cost > maxCost:
		return nil, fmt.Errorf("has a hash of bcrypt with the cost %d, and more than %d is not taken", cost, maxCost)
	}
	return blowfish(s), nil
}

// verify compares 72 bytes of password, as everything does that writes such hashes.
func (b blowfish) verify(password string) bool {
	return bcrypt.CompareHashAndPassword(b, []byte(password)) == nil
}

// argon is a hash of Argon2id.
type argon struct {
	memory, time uint32
	lanes        uint8
	salt, key    []byte
}

// parseArgon reads a PHC string: $argon2id$v=19$m=19456,t=2,p=1$salt$key.
func parseArgon(s string) (hash, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return nil, errArgon
	}
	values := strings.Split(parts[3], ",")
	if len(values) != 3 {
		return nil, errArgon
	}
	var n [3]uint64
	for i, name := range [...]string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(values[i], name)
		v, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || strconv.FormatUint(v, 10) != digits {
			return nil, errArgon
		}
		n[i] = v
	}
	if n[0] > maxMemory || n[1] > maxTime || n[2] > maxLanes {
		return nil, fmt.Errorf("has a hash of Argon2id with %s, and more than m=%d,t=%d,p=%d is not taken", parts[3], maxMemory, maxTime, maxLanes)
	}
	salt, err := unphc(parts[4])
	key, wrong := unphc(parts[5])
	if err != nil || wrong != nil || n[1] == 0 || n[2] == 0 || n[0] < 8*n[2] || len(salt) < minSalt || len(key) < minKey {
		return nil, errArgon
	}
	return &argon{uint32(n[0]), uint32(n[1]), uint8(n[2]), salt, key}, nil
}

// unphc decodes the Base64 of PHC strings, which is not padded.
func unphc(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") || base64.RawStdEncoding.DecodedLen(len(s)) > maxCoded {
		return nil, errArgon
	}
	return base64.RawStdEncoding.Strict().DecodeString(s)
}

// String returns the PHC string.
func (a *argon) String() string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, a.memory, a.time, a.lanes, b64(a.salt), b64(a.key))
}

func (a *argon) derive(password string, n int) []byte {
	return argon2.IDKey([]byte(password), a.salt, a.time, a.memory, a.lanes, uint32(n))
}

func (a *argon) verify(password string) bool {
	return subtle.ConstantTimeCompare(a.derive(password, len(a.key)), a.key) == 1
}
