// Command receiver is a short receiver of sessions, to start one's own from: it
// writes each session once, one a line, and answers 200 when it is on the disk.
package main

import (
	"cmp"
	"flag"
	"log/slog"
	"net/http"
	"os"
	"time"
)

func main() {
	listen := flag.String("listen", ":8443", "address to listen on")
	cert := flag.String("cert", "server.pem", "certificate, PEM")
	key := flag.String("key", "server-key.pem", "its key, PEM")
	out := flag.String("out", "sessions.ndjson", "file that the sessions are added to")
	flag.Parse()
	if err := serve(*listen, *cert, *key, *out); err != nil {
		slog.Error("the receiver ends", "error", err)
		os.Exit(1)
	}
}

func serve(listen, cert, key, out string) error {
	st, err := openStore(out, 1_000_000)
	if err != nil {
		return err
	}
	defer func() { _ = st.close() }()
	r := &receiver{
		store: st, limit: maxBody, now: time.Now, user: cmp.Or(os.Getenv("RECEIVER_USER"), "exporter"), password: os.Getenv("RECEIVER_PASSWORD"),
	}
	if secret := os.Getenv("RECEIVER_SIGNING_SECRET"); secret != "" {
		if r.signingKey, err = parseSecret(secret); err != nil {
			return err
		}
	}
	server := &http.Server{
		Addr: listen, Handler: r,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       25 * time.Second, // the sender gives up after 30 s
	}
	return server.ListenAndServeTLS(cert, key)
}
