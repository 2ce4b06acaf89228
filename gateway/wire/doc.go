// Package wire is the seam between the engines that speak HTTP on connections
// (gateway/h1, gateway/h2, gateway/h3) and the gateway that answers: a request
// head as it was read, and the stream on which its body comes and its answer goes.
//
// It exists beside http.Handler because an *http.Request costs more than all else
// that the way to a worker does: a map of the header, a context and a goroutine
// that watches the client for every request, canonical names that a worker never
// sees. Nothing here allocates unless it is asked for.
//
// An engine has checked what its RFC demands of the framing (9112, 9113, 9114)
// and of the syntax of names and values (9110, 5); what the fields mean, and what
// is allowed to whom, the Handler decides.
package wire
