package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"headgate/gateway"
)

func newExplain() *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain METHOD URL", Short: "Tell which site, route and pool a request would take, and what the worker would see",
		Example: "  headgate explain GET https://shop.example.com/cart?id=7",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{fmt.Errorf("explain takes METHOD and URL, got %s", count(len(args), "argument"))}
			}
			return nil
		},
	}
	file := configFlag(cmd)
	headers := cmd.Flags().StringArrayP("header", "H", nil, "header `FIELD` of the request, as \"Name: value\"")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, _, err := loadConfig(*file)
		if err != nil {
			return err
		}
		e, err := gateway.Explain(c, args[0], args[1], *headers)
		var wrong *gateway.RequestError
		switch {
		case errors.As(err, &wrong):
			return usageError{err}
		case err != nil:
			return err
		}
		_, err = fmt.Fprint(cmd.OutOrStdout(), e)
		return err
	}
	return cmd
}
