package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"headgate/gateway"
	"headgate/gateway/admin"
	"headgate/gateway/stats"
)

func newDrain() *cobra.Command {
	cmd := &cobra.Command{
		Use: "drain POOL/MEMBER", Short: "Take a member of a pool out of service, and let its requests finish",
		Long: `Take a member of a pool out of service: it gets no new request, and those that it
has go on. MEMBER is its address as headgate status prints it. Other members take
its part; without any, requests wait (queue.limit, queue.timeout), and those that
wait too long are answered with 503. It holds over reloads, until headgate undrain
or until the gateway is started again.`,
		Example: `  headgate drain shop/unix:/run/shop.sock --wait 30s && systemctl restart shop
  headgate undrain shop/unix:/run/shop.sock`,
		Args: onePart("MEMBER"),
	}
	f := addSocketFlags(cmd)
	wait := cmd.Flags().Duration("wait", 0, "wait so `LONG` for the member's requests to finish; exit 1 if some are left")
	cmd.ValidArgsFunction = f.complete(membersTo(false))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := notNegative("wait", *wait); err != nil {
			return err
		}
		pool, member, _ := strings.Cut(args[0], "/")
		c, err := f.client().DrainMember(cmd.Context(), pool, member)
		if err != nil {
			return f.explained(withGuess(err))
		}
		if c.Up == 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "headgate: no other member of %s takes requests: they wait\n", c.Pool)
		}
		left, err := f.awaitEmpty(cmd.Context(), c, *wait)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s drained, %s in flight\n", part(c), requests(left))
		return err
	}
	return cmd
}

func newUndrain() *cobra.Command {
	cmd := &cobra.Command{
		Use: "undrain POOL/MEMBER", Short: "Give a drained member requests again",
		Args: onePart("MEMBER"),
	}
	f := addSocketFlags(cmd)
	cmd.ValidArgsFunction = f.complete(membersTo(true))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		pool, member, _ := strings.Cut(args[0], "/")
		c, err := f.client().UndrainMember(cmd.Context(), pool, member)
		if err != nil {
			return f.explained(withGuess(err))
		}
		switch {
		case !c.Changed:
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s was not drained, it is %s\n", part(c), c.State)
		case c.State == "":
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s undrained, for when it is a member again\n", part(c))
		default:
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s undrained, it is %s\n", part(c), c.State)
		}
		return err
	}
	return cmd
}

func newPause() *cobra.Command {
	cmd := &cobra.Command{
		Use: "pause POOL", Short: "Hold the requests of a pool back for a while",
		Long: fmt.Sprintf(`Hold back the requests of a pool: those that are at members go on, all others wait
in the queue. Nothing fails as long as the pause is shorter than queue.timeout and
no more wait than queue.limit; beyond them the answer is 503 with Retry-After. The
pause ends with headgate resume, and by itself after %s or what --for says, %s at
most: one that is forgotten must not keep a site down.`, short(gateway.PauseUsual), short(gateway.PauseMost)),
		Example: `  headgate pause shop --for 20s --wait 10s && migrate-the-database; headgate resume shop`,
		Args:    onePart(""),
	}
	f := addSocketFlags(cmd)
	length := cmd.Flags().Duration("for", gateway.PauseUsual, "end the pause after so `LONG`")
	wait := cmd.Flags().Duration("wait", 0, "wait so `LONG` for requests at members to finish; exit 1 if some are left")
	cmd.ValidArgsFunction = f.complete(poolNames(false))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := errors.Join(notNegative("wait", *wait), pauseLength(*length, *wait)); err != nil {
			return err
		}
		c, err := f.client().PausePool(cmd.Context(), args[0], *length)
		if err != nil {
			return f.explained(withGuess(err))
		}
		left, err := f.awaitEmpty(cmd.Context(), c, *wait)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s paused until %s, %s in flight\n", c.Pool, clock(c.PausedUntil), requests(left))
		return err
	}
	return cmd
}

func newResume() *cobra.Command {
	cmd := &cobra.Command{
		Use: "resume POOL", Short: "End the pause of a pool",
		Args: onePart(""),
	}
	f := addSocketFlags(cmd)
	cmd.ValidArgsFunction = f.complete(poolNames(true))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := f.client().ResumePool(cmd.Context(), args[0])
		switch {
		case err != nil:
			return f.explained(withGuess(err))
		case !c.Changed:
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s was not paused\n", c.Pool)
		default:
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s resumed, %s in its queue\n", c.Pool, requests(c.Queued))
		}
		return err
	}
	return cmd
}

// onePart refuses what is not one POOL, or with a word for it one POOL/MEMBER.
func onePart(member string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		what := "POOL"
		if member != "" {
			what += "/" + member
		}
		if len(args) != 1 {
			return usageError{hintError{fmt.Errorf("%s takes one %s, got %s", cmd.CommandPath(), what, count(len(args), "argument")), "headgate status lists them"}}
		}
		pool, address, both := strings.Cut(args[0], "/")
		switch {
		case member != "" && (pool == "" || address == ""):
			return usageError{hintError{
				fmt.Errorf("%s takes %s, got %q", cmd.CommandPath(), what, args[0]),
				"write it like shop/unix:/run/shop.sock or shop/10.0.0.7:3031; headgate status lists them, and headgate pause holds back a whole pool",
			}}
		case member == "" && (pool == "" || both):
			return usageError{hintError{fmt.Errorf("%s takes the name of a pool, got %q", cmd.CommandPath(), args[0]), "headgate status lists them; for one member there are headgate drain and undrain"}}
		}
		return nil
	}
}

func notNegative(flag string, d time.Duration) error {
	if d < 0 {
		return usageError{fmt.Errorf("--%s: %s is negative: write a time such as 30s", flag, d)}
	}
	return nil
}

func pauseLength(length, wait time.Duration) error {
	switch {
	case length <= 0 || length > gateway.PauseMost:
		return usageError{hintError{fmt.Errorf("--for: a pool cannot be paused for %s", length), "write a time up to " + short(gateway.PauseMost) + ", and pause it again before that is over"}}
	case wait > length:
		return usageError{fmt.Errorf("--wait %s is longer than the pause of %s: write a shorter one, or a longer --for", short(wait), short(length))}
	}
	return nil
}

// withGuess adds the name that was probably meant to an error of an unknown one.
func withGuess(err error) error {
	var u *admin.UnknownError
	if !errors.As(err, &u) {
		return err
	}
	best, distance := "", 3
	for _, name := range u.Known {
		if d := editDistance(u.Asked, name); d < distance && 2*d <= min(len(u.Asked), len(name))+1 {
			best, distance = name, d
		}
	}
	if best == "" {
		return err
	}
	return fmt.Errorf("%w (did you mean %q?)", err, best)
}

// part names what a change was about, as commands take it.
func part(c stats.PoolChange) string {
	if c.Member == "" {
		return c.Pool
	}
	return c.Pool + "/" + c.Member
}

func requests(n int64) string {
	if n == 0 {
		return "no request"
	}
	return count(int(n), "request")
}

// awaitEmpty waits for the requests that a drained member or a paused pool has
// at the moment of c, for so long at most, and returns how many are left: none
// if it waits at all. The error says how many there are when the time is over, or
// what has come between.
func (f socketFlags) awaitEmpty(ctx context.Context, c stats.PoolChange, most time.Duration) (left int64, err error) {
	if most == 0 || c.InFlight == 0 {
		return c.InFlight, nil
	}
	over := time.NewTimer(most)
	defer over.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	client := f.client()
	left = c.InFlight
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return left, fmt.Errorf("%s: %s left: %w", part(c), requests(left), ctx.Err())
		case <-over.C:
			return left, hintError{
				fmt.Errorf("%s: %s still in flight after %s", part(c), requests(left), short(most)),
				"nothing new goes there: wait longer, or stop the worker and lose what is left",
			}
		}
		s, err := client.Status(ctx)
		if err != nil {
			return left, f.explained(err)
		}
		var holds bool
		if left, holds = emptying(s, c); left == 0 {
			return 0, nil
		} else if !holds {
			return left, fmt.Errorf("%s takes requests again: it was taken back before its requests had finished", part(c))
		}
	}
}

// pollEvery is how often a command that waits looks.
const pollEvery = 100 * time.Millisecond

// emptying tells how many requests are in flight where c was about, and whether
// what c did still holds.
func emptying(s stats.Snapshot, c stats.PoolChange) (left int64, holds bool) {
	for _, p := range s.Pools {
		if p.Name != c.Pool {
			continue
		}
		if c.Member == "" {
			return p.InFlight(), !p.PausedUntil.IsZero()
		}
		for _, m := range p.Members {
			if m.Address == c.Member {
				return m.InFlight, m.State == stats.MemberDrained || m.State == stats.MemberLeaving
			}
		}
	}
	return 0, true // it is not there any more, and nothing with it
}

// short is a length of time without the zeros behind it: 5m, not 5m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// clock is a time of day, as a person here reads it.
func clock(t time.Time) string { return t.Local().Format(time.TimeOnly) }

// complete is what the shell offers as the one argument: what pick finds in the
// running gateway, and nothing when none answers.
func (f socketFlags) complete(pick func(stats.Pool) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begin string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
		defer cancel()
		s, err := f.client().Status(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []cobra.Completion
		for _, p := range s.Pools {
			for _, name := range pick(p) {
				if strings.HasPrefix(name, begin) {
					out = append(out, name)
				}
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeTime is how long the shell may be kept waiting.
const completeTime = time.Second

// membersTo lists the members of a pool that are drained, or those that are not.
func membersTo(undrain bool) func(stats.Pool) []string {
	return func(p stats.Pool) (out []string) {
		for _, m := range p.Members {
			if (m.State == stats.MemberDrained) == undrain && m.State != stats.MemberLeaving {
				out = append(out, p.Name+"/"+m.Address)
			}
		}
		return out
	}
}

// poolNames is a pool that is paused, or one that is not.
func poolNames(paused bool) func(stats.Pool) []string {
	return func(p stats.Pool) []string {
		if p.PausedUntil.IsZero() == paused {
			return nil
		}
		return []string{p.Name}
	}
}
