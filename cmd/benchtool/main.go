package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

const usage = `benchtool: load and a backend for deploy/bench

  benchtool backend    a uwsgi or HTTP server that answers at once
  benchtool h3         requests over HTTP/3, as fast as they are answered
  benchtool rate       requests at a fixed rate over HTTP/1.1 or HTTP/2
  benchtool idle       connections that are held after one request
  benchtool handshake  a new connection for each request

benchtool COMMAND -h tells its flags, go doc ./cmd/benchtool the rest.
`

// Terminal is where a command talks to deploy/bench.
type Terminal struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

func main() {
	os.Exit(run(os.Args[1:], Terminal{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

func run(args []string, t Terminal) int {
	commands := map[string]func([]string, Terminal) error{
		"backend": runBackend, "h3": runH3, "rate": runRate, "idle": runIdle, "handshake": runHandshake,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprint(t.Err, usage)
		return 2
	}
	switch err := commands[args[0]](args[1:], t); {
	case errors.Is(err, flag.ErrHelp):
		return 2
	case err != nil:
		fmt.Fprintln(t.Err, "benchtool:", err)
		return 1
	}
	return 0
}

// flags returns the set of a command's flags; args is what follows them.
func flags(name, args string, t Terminal) *flag.FlagSet {
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	set.SetOutput(t.Err)
	set.Usage = func() {
		fmt.Fprintf(t.Err, "benchtool %s [flags] %s\n", name, args)
		set.PrintDefaults()
	}
	return set
}

func (t Terminal) print(v any) error {
	return json.NewEncoder(t.Out).Encode(v)
}

// ready tells the other side that the connections are open, and waits for its
// line, or for the end of its input.
func (t Terminal) ready() error {
	if err := t.print(map[string]bool{"ready": true}); err != nil {
		return err
	}
	if _, err := io.ReadFull(t.In, make([]byte, 1)); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// over waits for the end of its input: what it costs to close the connections is
// no part of what was measured.
func (t Terminal) over() error {
	_, err := io.Copy(io.Discard, t.In)
	return err
}
