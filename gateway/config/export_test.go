package config

// MarshalAll is Marshal with all that it hides.
func MarshalAll(c *Config) []byte { return c.encode(false) }
