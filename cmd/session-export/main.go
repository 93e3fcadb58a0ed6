// Command session-export ships completed user sessions from Kafka to HTTPS
// endpoints.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"sessionexport/app"
	"sessionexport/settings"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // something failed, or something is missing
	exitUse    = 2 // wrong use, or a configuration with mistakes
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	root := &cobra.Command{
		Use:           "session-export",
		Short:         "Ships completed user sessions from Kafka to HTTPS endpoints",
		Version:       app.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &useError{err} })
	root.AddCommand(demoCommand(), serveCommand(), configCommand(), generateCommand(), mappingCommand(), alertsCommand(), receiveCommand(), deadLettersCommand())
	root.AddCommand(testExportCommand(), sampleCommand())
	for _, c := range root.Commands() {
		asUse(c)
	}
	asUse(root)
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	return report(err)
}

// useError is a wrong use of the command line.
type useError struct{ err error }

func (e *useError) Error() string { return e.err.Error() }
func (e *useError) Unwrap() error { return e.err }

// asUse makes wrong arguments a wrong use.
func asUse(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &useError{err}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		asUse(sub)
	}
}

func report(err error) int {
	var problems settings.Problems
	var use *useError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &problems):
		problems.Render(os.Stderr)
		return exitUse
	case errors.As(err, &use):
		fmt.Fprintf(os.Stderr, "session-export: %v (--help shows the use)\n", err)
		return exitUse
	default:
		fmt.Fprintf(os.Stderr, "session-export: %v\n", err)
		return exitFailed
	}
}
