package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sessionexport/app"
	"sessionexport/demo"
	"sessionexport/settings"
)

// receiveSecret is the variable with the password or the client's secret: on
// the command line every process of the machine could read it.
const receiveSecret = "RECEIVE_SECRET"

// receiveFlags are what the command line says about a receiver.
type receiveFlags struct {
	listen, caOut, maxBody, fail string
	basic, oauth, secretFile     string
	hosts                        []string
	delay, retryAfter, tokenLife time.Duration
	headers                      bool
	reset, remember              int
	lookup                       func(string) (string, bool) // of environment variables
	prompt                       func(ctx context.Context, what string) (settings.Secret, bool)
}

func receiveCommand() *cobra.Command {
	f := receiveFlags{lookup: os.LookupEnv, prompt: askSecret}
	return f.command()
}

func (f *receiveFlags) command() *cobra.Command {
	c := &cobra.Command{
		Use:   "receive",
		Short: "Receive sessions over HTTPS, show what comes, and misbehave when told to",
		Long: `Receive sessions over HTTPS on any path, in any format, and print a line for each
request: time, status, method, path, format, sessions, bytes, the first session,
and how many of them had come before. A certificate is made on the spot; the one
to trust is printed. A signal ends it and prints the totals.

The password of --basic and the secret of --oauth are taken from the variable
` + receiveSecret + `, from --secret-file, or from a prompt.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			soft, _, stop := app.Signals(cmd.Context())
			defer stop()
			o, err := f.options(soft, cmd)
			if err != nil {
				return err
			}
			o.Output = cmd.OutOrStdout()
			return demo.Receive(soft, o)
		},
	}
	c.Flags().StringVar(&f.listen, "listen", "127.0.0.1:8443", "address to listen on")
	c.Flags().StringSliceVar(&f.hosts, "host", nil, "more names or addresses that the certificate holds for")
	c.Flags().StringVar(&f.caOut, "ca-out", "", "write the certificate to trust to this file instead of printing it")
	c.Flags().BoolVar(&f.headers, "headers", false, "print the headers of each request as well, without credentials")
	c.Flags().StringVar(&f.basic, "basic", "", "ask for this user and a password")
	c.Flags().StringVar(&f.oauth, "oauth", "", "ask for a token of this client, and issue them at "+demo.TokenPath)
	c.Flags().StringVar(&f.secretFile, "secret-file", "", "file with the password or the client's secret")
	c.Flags().DurationVar(&f.tokenLife, "token-life", 5*time.Minute, "how long a token lives")
	c.Flags().StringVar(&f.fail, "fail", "", "answer with this status instead of taking a body; STATUS:PERCENT does so with a share of them")
	c.Flags().DurationVar(&f.retryAfter, "retry-after", 0, "send Retry-After with --fail, in whole seconds")
	c.Flags().IntVar(&f.reset, "reset", 0, "cut the connection instead of answering, in this percentage of the cases")
	c.Flags().Lookup("reset").NoOptDefVal = "100"
	c.Flags().DurationVar(&f.delay, "delay", 0, "wait so long before each answer")
	c.Flags().StringVar(&f.maxBody, "max-body", "64MiB", "answer 413 to larger bodies: a number with B, KB, KiB, MB or MiB")
	c.Flags().IntVar(&f.remember, "remember", demo.DefaultRemember, "remember so many sessions to know duplicates; about 75 bytes each")
	return c
}

func (f *receiveFlags) options(ctx context.Context, cmd *cobra.Command) (demo.ReceiveOptions, error) {
	o := demo.ReceiveOptions{Address: f.listen, Hosts: f.hosts, CAOut: f.caOut, TokenLife: f.tokenLife, Remember: f.remember, Headers: f.headers}
	host, _, err := net.SplitHostPort(f.listen)
	changed := cmd.Flags().Changed
	switch {
	case err != nil:
		return o, &useError{fmt.Errorf("--listen: %w", err)}
	case f.basic != "" && f.oauth != "":
		return o, &useError{errors.New("--basic and --oauth exclude each other")}
	case f.secretFile != "" && f.basic == "" && f.oauth == "":
		return o, &useError{errors.New("--secret-file needs --basic or --oauth")}
	case strings.Contains(f.basic, ":"):
		return o, &useError{errors.New("--basic is a user alone: its password comes from " + receiveSecret + ", --secret-file or a prompt")}
	case f.tokenLife < time.Second:
		return o, &useError{errors.New("--token-life must be at least 1s")}
	case changed("token-life") && f.oauth == "":
		return o, &useError{errors.New("--token-life needs --oauth")}
	case f.remember < 1:
		return o, &useError{errors.New("--remember must be above 0")}
	}
	if host != "" {
		o.Hosts = append([]string{host}, o.Hosts...)
	}
	if name, err := os.Hostname(); err == nil {
		o.Hosts = append(o.Hosts, name)
	}
	if o.MaxBody, err = parseSize(f.maxBody); err != nil {
		return o, &useError{fmt.Errorf("--max-body: %w", err)}
	}
	if o.Faults, err = f.faults(); err != nil {
		return o, &useError{err}
	}
	user := f.basic + f.oauth
	if user == "" {
		return o, nil
	}
	secret, err := f.secret(ctx, user)
	if err != nil {
		return o, err
	}
	credentials := &demo.Credentials{User: user, Password: secret}
	if f.basic != "" {
		o.Basic = credentials
	} else {
		o.OAuth = credentials
	}
	return o, nil
}

func (f *receiveFlags) faults() (demo.Faults, error) {
	faults := demo.Faults{Delay: f.delay, RetryAfter: f.retryAfter, ResetPercent: f.reset}
	switch {
	case f.delay < 0:
		return faults, errors.New("--delay must not be negative")
	case f.reset < 0 || f.reset > 100:
		return faults, errors.New("--reset is a percentage: 0 to 100")
	case f.retryAfter != 0 && f.fail == "":
		return faults, errors.New("--retry-after needs --fail")
	case f.retryAfter < 0:
		return faults, errors.New("--retry-after must not be negative")
	case f.fail == "":
		return faults, nil
	}
	status, percent, shared := strings.Cut(f.fail, ":")
	faults.StatusPercent = 100
	var err error
	if faults.Status, err = strconv.Atoi(status); err != nil || faults.Status < 201 || faults.Status > 599 {
		return faults, fmt.Errorf("--fail %s: the status is 201 to 599", f.fail)
	}
	if shared {
		if faults.StatusPercent, err = strconv.Atoi(strings.TrimSuffix(percent, "%")); err != nil || faults.StatusPercent < 1 || faults.StatusPercent > 100 {
			return faults, fmt.Errorf("--fail %s: the share is 1 to 100", f.fail)
		}
	}
	return faults, nil
}

// secret finds the user's password, in the variable, the file or at a prompt.
func (f *receiveFlags) secret(ctx context.Context, user string) (string, error) {
	if text, ok := f.lookup(receiveSecret); ok && text != "" && f.secretFile == "" {
		return text, nil
	}
	if f.secretFile == "" {
		secret, ok := f.prompt(ctx, "secret of "+user)
		if !ok {
			return "", &useError{fmt.Errorf("the secret of %s is missing: set %s, name a --secret-file, or type it at a terminal", user, receiveSecret)}
		}
		return secret.Reveal(), nil
	}
	content, err := os.ReadFile(f.secretFile)
	if err != nil {
		return "", fmt.Errorf("reading the secret: %w", err)
	}
	text := strings.TrimRight(string(content), "\r\n")
	if text == "" {
		return "", &useError{fmt.Errorf("the secret file %s is empty", f.secretFile)}
	}
	return text, nil
}

// sizes are the units that parseSize knows, longer names first.
var sizes = []struct {
	unit  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"KB", 1e3}, {"MB", 1e6}, {"B", 1}}

// maxSize is the largest size that parseSize takes: a receiver holds whole
// bodies in memory.
const maxSize = 1 << 30 // bytes

// parseSize reads a number of bytes such as 512KB.
func parseSize(text string) (int64, error) {
	digits, factor := text, int64(1)
	for _, s := range sizes {
		if before, ok := strings.CutSuffix(text, s.unit); ok {
			digits, factor = before, s.bytes
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 32)
	if err != nil || n < 1 || n*factor > maxSize {
		return 0, fmt.Errorf("%q is no size from 1B to 1024MiB", text)
	}
	return n * factor, nil
}
