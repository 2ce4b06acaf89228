// Package coding chooses the content coding of an answer by Accept-Encoding
// (RFC 9110, 12.5.3).
//
//	switch coding.Choose(r.Fields, "zstd", "br", "gzip") {
//	case "":
//		// as it is
//	case "gzip":
//		// a form that is gzip
//	}
//
// It knows no coding: any name can be offered.
package coding
