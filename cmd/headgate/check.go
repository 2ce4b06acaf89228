package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"headgate/gateway"
	"headgate/gateway/accesslog"
	"headgate/gateway/config"
)

func newCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Read the configuration as run would, report every error, start nothing", Args: noArgs,
	}
	file := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, path, err := loadConfig(*file)
		if err != nil {
			return err
		}
		if c, err = withApps(c); err != nil {
			return err
		}
		if err := gateway.Check(c, accesslog.NewLogger(cmd.ErrOrStderr(), true, accesslog.Options{Level: "warn"})); err != nil {
			return err
		}
		if n := len(c.Warnings); n > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s, no error:\n%s", count(n, "warning"), c.Warnings.Detail())
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is good: %s\n", path, summary(c))
		return err
	}
	return cmd
}

func summary(c *config.Config) string {
	routes := 0
	for _, s := range c.Sites {
		routes += len(s.Routes)
	}
	return fmt.Sprintf("%s, %s, %s", count(len(c.Sites), "site"), count(routes, "route"), count(len(c.Pools), "pool"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
