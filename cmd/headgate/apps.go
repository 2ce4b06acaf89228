package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"

	"headgate/gateway"
	"headgate/gateway/apps"
	"headgate/gateway/config"
)

// folder is the folder of apps as a gateway's Provider.
type folder struct{ *apps.Folder }

// openApps returns what provides the apps of a pattern; nil for none.
func openApps(pattern string, log *slog.Logger) (gateway.Provider, error) {
	if pattern == "" {
		return nil, nil
	}
	f, err := apps.Open(pattern, os.LookupEnv, log)
	if err != nil {
		return nil, err
	}
	return folder{f}, nil
}

// Run implements gateway.Provider.
func (f folder) Run(ctx context.Context, set func([]gateway.Provided)) error {
	return f.Folder.Run(ctx, func(states []apps.State) {
		out := make([]gateway.Provided, len(states))
		for i, s := range states {
			out[i] = gateway.Provided{Name: s.Name, File: s.File, Fragment: s.Fragment, Err: s.Err, Since: s.Changed, Touched: s.Touched}
		}
		set(out)
	})
}

// withApps adds to c what its folder of apps has. The error has all that is wrong with
// any of the files.
func withApps(c *config.Config) (*config.Config, error) {
	if c.Apps == "" {
		return c, nil
	}
	states, err := apps.Read(c.Apps, os.LookupEnv)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it may come while the gateway runs
		c.Warnings = append(c.Warnings, &config.Error{Path: "apps", Msg: "apps: " + c.Apps + " is not there", Hint: "make it: headgate run looks for it again and again"})
		return c, nil
	case err != nil:
		return nil, err
	}
	var wrong config.Errors
	var good []config.Fragment
	for _, s := range states {
		var list config.Errors
		switch {
		case errors.As(s.Err, &list):
			wrong = append(wrong, list...)
		case s.Err != nil:
			wrong = append(wrong, &config.Error{File: s.File, Msg: s.Err.Error()})
		default:
			good = append(good, *s.Fragment)
		}
	}
	whole, left := c.Merge(good)
	for _, one := range left {
		wrong = append(wrong, one.Errs...)
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return whole, nil
}
