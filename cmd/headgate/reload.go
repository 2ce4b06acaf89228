package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"headgate/gateway/admin"
	"headgate/gateway/stats"
)

func newReload() *cobra.Command {
	cmd := &cobra.Command{
		Use: "reload [--workers [POOL...]]", Short: "Make the running gateway read its configuration again, or replace its workers",
		Long: `Make the running gateway read its configuration again. Everything new is built
before anything changes: after an error the old configuration goes on.

With --workers, the workers that the gateway has started for the pools that are named,
or for all pools, are replaced, and the configuration is left alone: new ones start
with the code as it is now; when they serve, they get the requests; the old ones finish
theirs and end. No request is lost. The command returns when that is done. When the
new ones do not start, the old ones go on; what the new ones wrote last is printed, and
the exit code is 1.

A SIGHUP to the gateway does both: it reads the configuration and then replaces all
workers.`,
		Example: `  headgate reload
  git pull && headgate reload --workers shop`,
	}
	f := addSocketFlags(cmd)
	workers := cmd.Flags().Bool("workers", false, "replace the workers of the named pools, or of all")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 && !*workers {
			return usageError{hintError{fmt.Errorf("%s takes no argument, got %q", cmd.CommandPath(), args[0]), "to replace the workers of a pool write headgate reload --workers " + args[0]}}
		}
		return nil
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begin string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return f.complete(withWorkers(args))(cmd, nil, begin)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *workers {
			return f.reloadWorkers(cmd, args)
		}
		return f.reload(cmd)
	}
	return cmd
}

// withWorkers is a pool that has workers of its own and is not among args.
func withWorkers(args []string) func(stats.Pool) []string {
	return func(p stats.Pool) []string {
		if p.Workers == nil || slices.Contains(args, p.Name) {
			return nil
		}
		return []string{p.Name}
	}
}

func (f socketFlags) reload(cmd *cobra.Command) error {
	r, err := f.client().Reload(cmd.Context())
	if err != nil {
		return f.explained(err)
	}
	if !r.OK {
		fmt.Fprintln(cmd.ErrOrStderr(), r.Error)
		return hintError{errors.New("reload refused"), fmt.Sprintf("generation %d goes on; mend the file and reload again", r.Generation)}
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "generation %d serves (configuration %.12s, built in %s)\n", r.Generation, r.Hash, r.Took.Round(time.Millisecond))
	return err
}

// reloadWorkers replaces the workers of the named pools at once, or of all that have
// any, and tells of each how that went.
func (f socketFlags) reloadWorkers(cmd *cobra.Command, pools []string) error {
	ctx, client := cmd.Context(), f.client()
	if len(pools) == 0 {
		s, err := client.Status(ctx)
		if err != nil {
			return f.explained(err)
		}
		for _, p := range s.Pools {
			pools = append(pools, withWorkers(nil)(p)...)
		}
		if len(pools) == 0 {
			return hintError{errors.New("no pool has workers that this gateway has started"), "reload those elsewhere with their own means (uWSGI: touch-reload or its master FIFO); headgate status lists the pools"}
		}
	}
	slices.Sort(pools)
	pools = slices.Compact(pools)
	errs := replaceAll(ctx, client, pools, func(pool string, took time.Duration) {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: new workers serve, the old ones have ended (%s)\n", pool, took.Round(time.Millisecond))
	})
	return f.explainWorkers(cmd, pools, errs)
}

// replaceAll replaces the workers of pools, some at a time: each start costs as much
// processor as there is. It calls done, not twice at once, for those that went well.
func replaceAll(ctx context.Context, client *admin.Client, pools []string, done func(pool string, took time.Duration)) []error {
	const atOnce = 8
	errs := make([]error, len(pools))
	room := make(chan struct{}, atOnce)
	var mu sync.Mutex // one line at a time
	var wg sync.WaitGroup
	for i, pool := range pools {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			begin := time.Now()
			if errs[i] = client.ReloadWorkers(ctx, pool); errs[i] != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			done(pool, time.Since(begin))
		})
	}
	wg.Wait()
	return errs
}

// explainWorkers prints what the new workers of pools wrote that did not start, and
// returns one error for all.
func (f socketFlags) explainWorkers(cmd *cobra.Command, pools []string, errs []error) error {
	var failed []string
	for i, err := range errs {
		var refused *admin.RefusedError
		switch {
		case err == nil:
		case errors.As(err, &refused):
			failed = append(failed, pools[i])
			fmt.Fprintln(cmd.ErrOrStderr(), refused.Text)
		default:
			return f.explained(withGuess(err))
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return hintError{
		fmt.Errorf("new workers of %s did not start: the old ones, if there are any, go on", strings.Join(failed, ", ")),
		"mend the app and try again; headgate status shows what it wrote",
	}
}
