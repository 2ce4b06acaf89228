package headers

import "headgate/gateway/wire"

// presets are the fields of one of the presets, see the package's documentation.
type presets struct {
	plain  []wire.Field
	secure []wire.Field
	hidden []string
}

func preset(security string) presets {
	switch security {
	case SecurityBasic:
		return presets{plain: []wire.Field{
			{Name: "X-Content-Type-Options", Value: "nosniff"},
			{Name: "Referrer-Policy", Value: "strict-origin-when-cross-origin"},
			{Name: "X-Frame-Options", Value: "SAMEORIGIN"},
		}}
	case SecurityStrict:
		return presets{
			plain: []wire.Field{
				{Name: "X-Content-Type-Options", Value: "nosniff"},
				{Name: "Referrer-Policy", Value: "strict-origin-when-cross-origin"},
				{Name: "X-Frame-Options", Value: "DENY"},
				{Name: "Permissions-Policy", Value: permissions},
				{Name: "Cross-Origin-Opener-Policy", Value: "same-origin"},
			},
			// Two years, which the browsers' own lists ask for. RFC 6797, 7.2: never
			// without TLS.
			secure: []wire.Field{{Name: "Strict-Transport-Security", Value: "max-age=63072000; includeSubDomains"}},
			hidden: []string{"Server", "X-Powered-By"},
		}
	}
	return presets{}
}

const permissions = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), " +
	"magnetometer=(), microphone=(), midi=(), payment=(), usb=()"
