package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"headgate/gateway"
	"headgate/gateway/admin"
	"headgate/gateway/stats"
)

func newCerts() *cobra.Command {
	cmd := &cobra.Command{
		Use: "certs", Short: "List the certificates of the running gateway, and how each of them is",
		Long: `List the certificates of the running gateway: for which names, who made them, how
long they are valid, when the next one is obtained, and what stands in the way.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			err := fmt.Errorf("headgate certs knows renew, revoke and ech, not %q", args[0])
			if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
				err = fmt.Errorf("%w (did you mean %q?)", err, s[0])
			}
			return usageError{err}
		},
		SuggestionsMinimumDistance: 2,
	}
	f := addSocketFlags(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print everything as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := f.client().Status(cmd.Context())
		if err != nil {
			return f.explained(err)
		}
		if *asJSON {
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(append([]stats.Certificate{}, s.Certificates...))
		}
		if len(s.Certificates) == 0 {
			fmt.Fprintln(cmd.ErrOrStderr(), "headgate: no certificates: no site of this gateway is served over https")
			return nil
		}
		return printCerts(cmd.OutOrStdout(), s.Certificates, time.Now())
	}
	cmd.AddCommand(newCertsRenew(), newCertsRevoke(), newCertsECH())
	return cmd
}

func newCertsRenew() *cobra.Command {
	cmd := &cobra.Command{
		Use: "renew NAME...", Short: "Obtain new certificates now, although the old ones are good",
		Long: `Obtain new certificates now, although the old ones are good, and wait for them. The
old ones serve until then, and go on serving when one cannot be had. Authorities
limit how often they do this: five times a week for the same names is common.`,
		Args: someNames,
	}
	f := addSocketFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		return f.eachName(cmd, names, (*admin.Client).RenewCertificate)
	}
	return cmd
}

func newCertsRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke NAME...", Short: "Tell the authority that a certificate is not to be trusted any more, and obtain another",
		Long: `Tell the authority that the certificates of names are not to be trusted any more,
because somebody else may have their keys, and obtain others with new keys.`,
		Args: someNames,
	}
	f := addSocketFlags(cmd)
	reasons := gateway.RevocationReasons()
	reason := cmd.Flags().String("reason", "unspecified", "why, as a `WORD`: "+strings.Join(reasons, ", "))
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		if !slices.Contains(reasons, *reason) {
			return usageError{hintError{fmt.Errorf("--reason: %q is not one that an authority takes", *reason), "write " + strings.Join(reasons, ", ")}}
		}
		return f.eachName(cmd, names, func(c *admin.Client, ctx context.Context, name string) ([]stats.Certificate, error) {
			return c.RevokeCertificate(ctx, name, *reason)
		})
	}
	return cmd
}

func someNames(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError{fmt.Errorf("%s takes at least one NAME: headgate certs lists them", cmd.CommandPath())}
	}
	return nil
}

// eachName does act to one name after the other, and tells what they have then.
// What stands in the way of one does not keep the others.
func (f socketFlags) eachName(cmd *cobra.Command, names []string, act func(*admin.Client, context.Context, string) ([]stats.Certificate, error)) error {
	c := f.client()
	var failed error
	for _, name := range names {
		certs, err := act(c, cmd.Context(), name)
		switch {
		case errors.Is(err, admin.ErrNotRunning):
			return f.explained(err)
		case err != nil:
			failed = err
			fmt.Fprintf(cmd.ErrOrStderr(), "headgate: %s: %s\n", name, strings.TrimPrefix(oneLine(err.Error()), strconv.Quote(name)+": "))
			continue
		}
		for _, cert := range certs {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: valid until %s, made by %s\n", strings.Join(cert.Names, " "), moment(cert.NotAfter, time.Now()), maker(cert))
		}
	}
	if failed != nil {
		return silentError{failed}
	}
	return nil
}

func printCerts(out io.Writer, certs []stats.Certificate, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "NAMES\tISSUER\tVALID UNTIL\tNEXT RENEWAL\tCHALLENGE\tSTATE")
	for _, c := range certs {
		names := shortNames(c.Names)
		if c.OnDemand {
			names += " (on demand)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", names, maker(c), validity(c, now), renewal(c, now), orDash(c.Challenge), certState(c, now))
	}
	return w.Flush()
}

// shortNames lists the first few names of a certificate.
func shortNames(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], " "), len(names)-most)
}

// maker says where a certificate comes from and who has signed it.
func maker(c stats.Certificate) string {
	if cn := commonName(c.Issuer); cn != "" {
		return c.Source + "; " + cn
	}
	return c.Source
}

// commonName takes the CN out of a distinguished name (RFC 2253), or returns the
// name whole if it has none.
func commonName(dn string) string {
	i := strings.Index(","+dn, ",CN=")
	if i < 0 {
		return dn
	}
	var b strings.Builder
	rest := dn[i+len("CN="):]
	for j := 0; j < len(rest) && rest[j] != ',' && rest[j] != '+'; j++ {
		if rest[j] == '\\' && j+1 < len(rest) {
			j++
		}
		b.WriteByte(rest[j])
	}
	return b.String()
}

func validity(c stats.Certificate, now time.Time) string {
	if c.NotAfter.IsZero() {
		return "-"
	}
	return moment(c.NotAfter, now)
}

func renewal(c stats.Certificate, now time.Time) string {
	switch {
	case c.Source == "file":
		return "by hand"
	case c.RenewAt.IsZero():
		return "-"
	case !now.Before(c.RenewAt):
		return "now"
	}
	return moment(c.RenewAt, now)
}

// certState says in words how a certificate is.
func certState(c stats.Certificate, now time.Time) string {
	expired := !c.NotAfter.IsZero() && !now.Before(c.NotAfter)
	switch {
	case c.Error != "":
		s := "failing"
		if !c.RetryAt.IsZero() {
			s += ", next try " + atClock(c.RetryAt, now)
		}
		return s + ": " + oneLine(c.Error)
	case c.NotAfter.IsZero():
		return "no certificate yet: ordering"
	case c.OCSP == "revoked":
		return "revoked by who signed it: replace it"
	case expired && c.Source == "file":
		return "expired: replace the file"
	case expired:
		return "expired: ordering"
	}
	return "ok"
}

// atClock is a time of today as a clock shows it, and any other with its day.
func atClock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return "at " + t.Format("15:04")
	}
	return "at " + t.Format("2006-01-02 15:04")
}

// moment is a day, and how far away it is.
func moment(t, now time.Time) string {
	day := t.Local().Format(time.DateOnly)
	if d := now.Sub(t); d >= 0 {
		return fmt.Sprintf("%s, expired %s ago", day, span(d))
	}
	return fmt.Sprintf("%s, in %s", day, span(t.Sub(now)))
}

// span is a length of time as a person would say it.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return count(int(d.Round(24*time.Hour)/(24*time.Hour)), "day")
	case d >= 2*time.Hour:
		return count(int(d.Round(time.Hour)/time.Hour), "hour")
	}
	return count(int(d/time.Minute), "minute")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// oneLine joins the lines of an error, which stands in a table or after a name.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' || r == '\t' }), "; ")
}
