// Package config reads headgate.yaml, or says at once everything that is wrong
// with it: file, line, column, the line itself and a cure.
//
//	c, err := config.Load("headgate.yaml", os.LookupEnv)
//	if errs, ok := errors.AsType[config.Errors](err); ok {
//		fmt.Fprint(os.Stderr, errs.Detail())
//	}
//
// The leaves own what they need to know (uwsgi.Options, upstream.Options, ...);
// [Config] only composes them and adds what crosses their borders: references
// between pools, routes and listeners, and the defaults, all of which
// [Config.SetDefaults] fills in. A gateway without a file builds a Config in Go
// and calls SetDefaults and [Config.Validate].
//
// After SetDefaults each route has the filters and limits that hold there, of its
// site and the routes around it: what a route does not say itself it shares with
// where it is said, pointer for pointer, so that what is made of it can be made once.
//
// The language is YAML 1.2 without tags, complex keys and a second document.
// Files over 8 MiB, over 100000 tokens or nested over 50 levels are refused, and
// an alias cannot grow into more than that. ${NAME} and ${NAME:-default} take
// variables of the environment inside values, after the YAML was understood, so
// that a variable never adds structure; $${ is a plain ${.
package config
