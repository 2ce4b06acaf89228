package compress

import "math/rand/v2"

// maxPadding is how many random bytes are added at most.
const maxPadding = 100

// randomPadding returns how many are added to an answer: whole numbers of any
// remainder, so that their length tells nothing of the rest. The generator is one
// that cannot be predicted.
func randomPadding() int { return 1 + rand.IntN(maxPadding) }

// gzipSubfield is the head of a subfield of the extra field.
const gzipSubfield = 4

// gzipPadding makes n bytes the extra field of the header (RFC 1952, 2.3.1.1).
func gzipPadding(room *[gzipSubfield + maxPadding]byte, n int) []byte {
	clear(room[:])
	room[0], room[1], room[2] = 'H', 'G', byte(n)
	return room[:gzipSubfield+n]
}

// brPadding writes a block of n bytes of metadata into b, which begins at a whole
// byte of the stream (RFC 7932, 9.2): a bit for a block that is not the last, MNIBBLES
// 0, a reserved bit, MSKIPBYTES 1, the length less 1, and bits up to the next byte.
func brPadding(b []byte, n int) int {
	head := uint16(0b01_0_11_0) | uint16(n-1)<<6
	clear(b[:2+n])
	b[0], b[1] = byte(head), byte(head>>8)
	return 2 + n
}

// zstdHeader returns the length of the header of the frame that begins with p (RFC
// 8878, 3.1.1.1).
func zstdHeader(p []byte) int {
	const magic, descriptor = 4, 1
	d := p[magic]
	single := d >> 5 & 1
	n := magic + descriptor + int(1-single) + [4]int{0, 1, 2, 4}[d&3]
	return n + [4]int{int(single), 2, 4, 8}[d>>6]
}

// zstdPadding appends n+5 bytes of blocks that have nothing in them, raw ones of 3
// bytes and run-length ones of 4 (RFC 8878, 3.1.1.2): together they have any length
// from 6 on.
func zstdPadding(b []byte, n int) []byte {
	n += 5
	for ; n%3 > 0; n -= 4 {
		b = append(b, 0b01_0, 0, 0, 0)
	}
	for ; n > 0; n -= 3 {
		b = append(b, 0, 0, 0)
	}
	return b
}
