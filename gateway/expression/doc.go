// Package expression compiles and evaluates conditions and keys in CEL, the
// Common Expression Language (cel.dev). It is the only importer of the CEL library.
//
//	p, err := expression.Compile(`client.ip in ["10.0.0.0/8"] && request.method != "DELETE"`, expression.Bool)
//	if err != nil {
//		return err // *expression.Error: place, fact, cure
//	}
//	ok, err := p.Bool(expression.View{Method: r.Method, Header: r.Header, Client: addr})
//
// # Variables
//
//	| name                    | type                | value                                                                   |
//	|-------------------------|---------------------|-------------------------------------------------------------------------|
//	| request.method          | string              | GET, POST and so on, as the client wrote it                             |
//	| request.scheme          | string              | http or https                                                           |
//	| request.host            | string              | the host in its normal form, without a port                             |
//	| request.path            | string              | the path in its canonical form, without the query                       |
//	| request.proto           | string              | HTTP/1.1, HTTP/2.0 or HTTP/3.0                                          |
//	| request.header["name"]  | map(string, string) | the header; upper and lower case are one; several are joined with ", "  |
//	| request.query["name"]   | map(string, string) | the first parameter of the query with this name, decoded                |
//	| request.cookie["name"]  | map(string, string) | the first cookie with this name, as it was sent                         |
//	| client.ip               | address             | for client.ip in ["10.0.0.0/8", "::1"], and string(client.ip)           |
//	| client.cert.present     | bool                | whether the client has shown a certificate that was verified            |
//	| client.cert.subject     | string              | its subject (RFC 2253), as in CN=till 4,O=Shop                          |
//	| client.cert.issuer      | string              | its issuer, likewise                                                    |
//	| client.cert.serial      | string              | its serial number in hexadecimal, lower case                            |
//	| client.cert.fingerprint | string              | the SHA-256 of it in hexadecimal, lower case, without colons            |
//	| tls.version             | string              | TLSv1.2 or TLSv1.3                                                      |
//	| tls.cipher              | string              | the IANA name, as in TLS_AES_128_GCM_SHA256                             |
//	| tls.server_name         | string              | the name that the client asked for (SNI)                                |
//	| tls.alpn                | string              | h2, http/1.1 or h3                                                      |
//	| now                     | timestamp           | the time of the request; now.getHours() is in UTC                       |
//
// What a request does not have is "", never an error: a header, parameter or
// cookie that is absent, the certificate of a client without one, TLS on a plain
// connection. "name" in request.header tells absent from empty.
//
// # Functions
//
// All of the CEL standard library with all, exists, exists_one, map and filter, and
// of CEL's string extensions charAt, indexOf, join, lastIndexOf, lowerAscii,
// replace, reverse, split, substring, trim, upperAscii and strings.quote. There is
// no has, because nothing is missing, and no format, which has no bound.
// The networks after client.ip in, and the patterns of matches (RE2), are written
// out, so that they are checked and compiled once.
//
// # Limits
//
// A source has at most 8 KiB, a pattern 1,000 instructions. One value of a request
// has at most 64 KiB and a map 256 names. Where the dearest request stays below
// 100,000 units of CEL's cost, which the compiler proves, nothing is counted;
// elsewhere evaluation stops there. What may build a text above 4 MiB is refused.
// Beyond a limit, and where an expression itself goes wrong (int("x"), a list's
// index), evaluation returns an error: see Program.Bool for what to do then.
package expression
