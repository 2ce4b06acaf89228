package certs

import "log/slog"

// LogValue hides a secret from logs.
func (s Secret) LogValue() slog.Value {
	if s == "" {
		return slog.StringValue("")
	}
	return slog.StringValue("(secret)")
}
