package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"headgate/gateway/admin"
	"headgate/gateway/config"
)

// socketFlags say which running gateway is meant.
type socketFlags struct{ config, socket *string }

func addSocketFlags(cmd *cobra.Command) socketFlags {
	return socketFlags{
		config: configFlag(cmd),
		socket: cmd.Flags().String("socket", "", "admin `SOCKET` of the gateway (default: that of the configuration)"),
	}
}

// client finds the socket as the gateway did: from the configuration, which may
// be broken at the moment, and otherwise where it is by default.
func (f socketFlags) client() *admin.Client {
	if *f.socket != "" {
		return admin.NewClient(*f.socket)
	}
	path := config.DefaultSocket()
	if file, err := configPath(*f.config); err == nil {
		path = config.AdminSocket(file, os.LookupEnv)
	}
	return admin.NewClient(path)
}

// explained adds what else may be when nobody is found: that one runs with
// another socket, as a service of another user does unless its file names one.
func (f socketFlags) explained(err error) error {
	if *f.socket == "" && errors.Is(err, admin.ErrNotRunning) {
		return hintError{err, "if one runs, name its file with -c, or its admin socket with --socket (of the systemd unit: /run/headgate/headgate.sock)"}
	}
	return err
}
