package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"headgate/gateway/stats"
)

func newMaintenance() *cobra.Command {
	cmd := &cobra.Command{
		Use: "maintenance on|off SITE", Short: "Answer 503 to all but a few clients of a site, or end that",
		Long: `Answer 503 with Retry-After to the clients of a site, but for those that its
maintenance.allow and maintenance.except let through. SITE is one of its hosts, or *
for the site of all other hosts. It holds over reloads, until headgate maintenance
off or until the gateway is started again.`,
		Example: `  headgate maintenance on shop.example.com && migrate-the-database; headgate maintenance off shop.example.com`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 || args[0] != "on" && args[0] != "off" {
				return usageError{hintError{fmt.Errorf("%s takes on or off, and one SITE", cmd.CommandPath()), "write it like headgate maintenance on shop.example.com"}}
			}
			return nil
		},
	}
	f := addSocketFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := f.client().SetMaintenance(cmd.Context(), args[1], args[0] == "on")
		if err != nil {
			return f.explained(withGuess(err))
		}
		was := ""
		if !c.Changed {
			was = " already"
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "maintenance of %s is %s%s\n", c.Site, args[0], was)
		return err
	}
	return cmd
}

func newPurge() *cobra.Command {
	var what stats.Purge
	cmd := &cobra.Command{
		Use: "purge --url URL | --prefix URL | --tag TAG | --all", Short: "Take answers out of the cache",
		Long: `Take answers out of the cache, also those that are being fetched at the moment: what
the app says from now on is kept. A URL is https://shop.example.com/page?query,
//shop.example.com/page for http and https, or /page for every host. A tag is one that
the app has said in Cache-Tag or Surrogate-Key.`,
		Example: `  headgate purge --url https://shop.example.com/
  headgate purge --prefix //shop.example.com/blog
  headgate purge --tag product-42`,
		Args: noArgs,
	}
	f := addSocketFlags(cmd)
	cmd.Flags().StringVar(&what.URL, "url", "", "take out the page at `URL`, with all its variants")
	cmd.Flags().StringVar(&what.Prefix, "prefix", "", "take out the page at `URL` and all below it")
	cmd.Flags().StringVar(&what.Tag, "tag", "", "take out the answers with `TAG`")
	cmd.Flags().BoolVar(&what.All, "all", false, "take out all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		said := 0
		for _, name := range []string{"url", "prefix", "tag", "all"} {
			if cmd.Flags().Changed(name) {
				said++
			}
		}
		if said != 1 {
			return usageError{hintError{errors.New("a purge says one thing to take out"), "add one of --url, --prefix, --tag and --all"}}
		}
		done, err := f.client().PurgeCache(cmd.Context(), what)
		if err != nil {
			return f.explained(err)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s taken out\n", count(done.Removed, "answer"))
		return err
	}
	return cmd
}
