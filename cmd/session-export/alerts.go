package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"sessionexport/app"
	"sessionexport/settings"
)

func alertsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "alerts",
		Short: "Work with those who are told about failures",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var config string
	test := &cobra.Command{
		Use:   "test --config FILE",
		Short: "Send a trial notification to every notifier of a configuration",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := settings.Load(config, os.LookupEnv)
			if err != nil {
				return fmt.Errorf("loading the configuration: %w", err)
			}
			soft, _, stop := app.Signals(cmd.Context())
			defer stop()
			return app.TestAlerts(soft, app.AlertsTestOptions{
				File: file, Stdout: cmd.OutOrStdout(), Logger: app.Logger(cmd.ErrOrStderr(), file.Log),
			})
		},
	}
	test.Flags().StringVar(&config, "config", "config.yaml", "configuration file")
	c.AddCommand(test)
	return c
}
