package h3

import (
	"fmt"
	"net/http"

	"headgate/gateway/wire"
)

func headTooLong(n int) *wire.Refusal {
	return &wire.Refusal{
		Status: http.StatusRequestHeaderFieldsTooLarge, Kind: "header_bytes", Cause: fmt.Sprintf("the head of the request has more than %d bytes", n),
		Cure: "send smaller header fields",
	}
}

func tooManyFields(most int) *wire.Refusal {
	return &wire.Refusal{
		Status: http.StatusRequestHeaderFieldsTooLarge, Kind: "headers", Cause: fmt.Sprintf("the header has more than %d fields", most),
		Cure: "send fewer header fields",
	}
}
