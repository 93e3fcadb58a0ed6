//go:build services

package edge_test

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sessionexport/services"
)

const (
	username = "exporter"
	password = `n/g:i+n x%&"ü`
)

// front is the configuration of one port of nginx: an endpoint of its own.
type front struct {
	listen   string // after the address
	server   string // in the server block
	upstream string // default: the backend
}

// nginx starts an nginx with a port for each front, and returns their URLs by name. Paths are the names.
func nginx(t *testing.T, authority *services.Authority, b *backend, fronts map[string]front, before string, hosts ...string) map[string]string {
	t.Helper()
	_, both, err := authority.Issue("nginx", hosts...)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha1.Sum([]byte(password))
	ports, err := services.FreePorts(len(fronts))
	if err != nil {
		t.Fatal(err)
	}
	urls := map[string]string{}
	configuration := forwarding + before
	for name, f := range fronts {
		address := services.Loopback(ports[len(urls)])
		if f.upstream == "" {
			f.upstream = b.address
		}
		configuration += fmt.Sprintf(`
  server {
    listen %s ssl%s;
    ssl_certificate server.pem;
    ssl_certificate_key server.pem;
    %s
    location / { proxy_pass http://%s; }
  }
`, address, f.listen, f.server, f.upstream)
		urls[name] = "https://" + address + "/" + name
	}
	services.StartNginx(t, services.NginxOptions{HTTP: configuration, Files: map[string][]byte{
		"server.pem": both, "ca.pem": authority.PEM,
		"users": []byte(username + ":{SHA}" + base64.StdEncoding.EncodeToString(hash[:]) + "\n"),
	}})
	return urls
}

// basic is the authentication of an export; secret names a secret file.
func basic(secret string) string {
	return "{active: true, authType: basic, basicAuth: {username: " + username + ", passwordFile: " + secret + "}}"
}

// TestNginx puts nginx before a receiver in every way that changes what a sender sees of it.
func TestNginx(t *testing.T) {
	authority, err := services.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := services.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	_, client, err := authority.Issue("exporter")
	if err != nil {
		t.Fatal(err)
	}
	_, foreign, err := stranger.Issue("somebody")
	if err != nil {
		t.Fatal(err)
	}
	const mutual = "ssl_client_certificate ca.pem; ssl_verify_client on;"
	const wantsUser = "auth_basic exporter; auth_basic_user_file users;"
	b := newBackend(t)
	urls := nginx(t, authority, b, map[string]front{
		"limited":     {server: "client_max_body_size 512k;"},
		"gzip":        {server: "client_max_body_size 512k;"},
		"tls12":       {server: "ssl_protocols TLSv1.2;"},
		"tls13":       {server: "ssl_protocols TLSv1.3;"},
		"http2":       {listen: " http2"},
		"http1":       {listen: " http2"},
		"closing":     {server: "keepalive_timeout 0;"},
		"keeping":     {},
		"basic":       {server: wantsUser},
		"basic-wrong": {server: wantsUser},
		"mutual":      {server: mutual},
		"no-client":   {server: mutual},
		"foreign":     {server: mutual},
		"stranger":    {},
		"rate":        {server: "limit_req zone=rate; limit_req_status 429;"},
	}, "limit_req_zone $server_port zone=rate:1m rate=3r/s;")

	const patient = "maxBackoff=500ms"
	custom := map[string][]string{
		"gzip":      {"compression=gzip"},
		"http2":     {"httpVersion=auto"},
		"closing":   {"maxSessions=20"},
		"keeping":   {"maxSessions=20"},
		"mutual":    {"certFile=client.pem", "keyFile=client.pem"},
		"foreign":   {"certFile=foreign.pem", "keyFile=foreign.pem"},
		"stranger":  {"caFile=stranger.pem"},
		"rate":      {"maxSessions=20", "initialBackoff=100ms", patient},
		"no-client": {"maxRetries=1"},
	}
	var exports []services.Export
	for name, url := range urls {
		e := services.Export{ID: name, URL: url, Custom: custom[name]}
		switch name {
		case "basic":
			e.Authentication = basic("right")
		case "basic-wrong":
			e.Authentication = basic("wrong")
		}
		exports = append(exports, e)
	}
	stage := services.NewStage(t, services.StageOptions{
		Kafka: services.SharedKafka(t), Authority: authority, Exports: exports, Partitions: 1,
		Secrets: map[string]string{"right": password, "wrong": "wr0ng-" + password},
		Files:   map[string][]byte{"client.pem": client, "foreign.pem": foreign, "stranger.pem": stranger.PEM},
	})
	const few, many = 200, 1000 // sessions; the long ones make 4 MB
	for name := range urls {
		switch name {
		case "limited", "gzip":
			stage.ProduceValues(t, name, 0, many, long)
		default:
			stage.Produce(t, name, 0, few)
		}
	}
	stage.Program.Start(t)
	attempts := func(name string, pairs ...string) int {
		return int(stage.Metric(t, "session_export_attempts_total", append(pairs, `sink="`+name+`"`)...))
	}
	arrives := func(t *testing.T, name string, n int) services.SinkStatus {
		t.Helper()
		status := stage.UntilDelivered(t, name, n)
		b.complete(t, "/"+name, n)
		if status.Hold != nil || status.Sessions.DeadLetters != 0 {
			t.Errorf("%+v", status)
		}
		return status
	}

	t.Run("a limit for bodies", func(t *testing.T) {
		status := arrives(t, "limited", many)
		refused := attempts("limited", `status="413"`)
		t.Logf("%d attempts were too large, the limit is now %d bytes", refused, status.ByteLimit)
		if refused == 0 || refused > 8 || status.ByteLimit > 512<<10 {
			t.Errorf("%d attempts were too large, want some until the limit %d was learnt", refused, status.ByteLimit)
		}
		// One that is larger than the limit by itself is given up, and no other.
		stage.ProduceValues(t, "limited", many, many+1, func(i int) string { return sized(i, 600_000) })
		stage.ProduceValues(t, "limited", many+1, many+100, long)
		status = stage.Until(t, "limited", "gives one session up", func(s services.SinkStatus) bool {
			return s.Sessions.Delivered == many+99 && s.Sessions.DeadLetters == 1
		})
		if status.Sessions.Waiting != 0 {
			t.Errorf("%+v", status.Sessions)
		}
	})
	t.Run("the limit counts what is compressed", func(t *testing.T) {
		status := arrives(t, "gzip", many)
		if n := attempts("gzip", `status="413"`); n != 0 || status.ByteLimit != 896_000 {
			t.Errorf("%d attempts were too large, limit %d", n, status.ByteLimit)
		}
		b.only(t, "/gzip", "Content-Encoding", "gzip")
	})
	for name, version := range map[string]string{"tls12": "TLSv1.2", "tls13": "TLSv1.3"} {
		t.Run(version+" alone", func(t *testing.T) {
			arrives(t, name, few)
			b.only(t, "/"+name, "X-Tls", version)
		})
	}
	for name, version := range map[string]string{"http2": "HTTP/2.0", "http1": "HTTP/1.1"} {
		t.Run(version, func(t *testing.T) {
			arrives(t, name, few)
			b.only(t, "/"+name, "X-Protocol", version)
		})
	}
	t.Run("no connection is kept", func(t *testing.T) {
		arrives(t, "closing", few)
		if n, requests := len(b.values("/closing", "X-Connection")), attempts("closing"); n != requests {
			t.Errorf("%d connections for %d requests", n, requests)
		}
		if n := stage.Metric(t, "session_export_retries_total", `sink="closing"`); n != 0 {
			t.Errorf("%v retries", n)
		}
	})
	t.Run("connections are kept", func(t *testing.T) {
		arrives(t, "keeping", few)
		if n, requests := len(b.values("/keeping", "X-Connection")), attempts("keeping"); n >= requests {
			t.Errorf("%d connections for %d requests", n, requests)
		}
	})
	t.Run("a user", func(t *testing.T) {
		arrives(t, "basic", few)
		b.only(t, "/basic", "X-User", username)
	})
	t.Run("a client certificate", func(t *testing.T) {
		arrives(t, "mutual", few)
		b.only(t, "/mutual", "X-Client", "CN=exporter")
	})
	t.Run("a rate", func(t *testing.T) {
		arrives(t, "rate", few)
		throttled := attempts("rate", `verdict="throttled"`, `status="429"`)
		t.Logf("%d attempts were throttled", throttled)
		if retries := stage.Metric(t, "session_export_retries_total", `sink="rate"`); throttled == 0 || retries != 0 {
			t.Errorf("%d attempts throttled, %v retries", throttled, retries)
		}
	})

	for name, want := range map[string]struct {
		reason string
		status int
		says   string
	}{
		"basic-wrong": {"status", 401, ""},
		"no-client":   {"status", 400, ""},
		"foreign":     {"status", 400, ""},
		"stranger":    {"certificate", 0, "unknown authority"},
	} {
		t.Run(name+" is the destination's fault", func(t *testing.T) {
			status := stage.UntilHeld(t, name, want.reason)
			if status.Hold.Status != want.status || !strings.Contains(status.Hold.Error, want.says) {
				t.Errorf("%+v", status.Hold)
			}
			if status.Sessions.Delivered != 0 || status.Sessions.DeadLetters != 0 || status.Sessions.Waiting != few {
				t.Errorf("%+v", status.Sessions)
			}
			services.Eventually(t, name+" is told", func() bool {
				return stage.Metric(t, "session_export_alerts_open", `sink="`+name+`"`, `cause="delivery_failed"`) == 1
			})
			if n := stage.Metric(t, "session_export_retries_total", `sink="`+name+`"`); n != 0 {
				t.Errorf("%v retries before it was told", n)
			}
		})
	}
	stage.KeepsSecrets(t)
}

// TestDeadUpstream has nginx answer for a receiver that is not there, and then is.
func TestDeadUpstream(t *testing.T) {
	authority, err := services.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	ports, err := services.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	b := newBackend(t)
	late := services.Loopback(ports[0])
	urls := nginx(t, authority, b, map[string]front{"late": {upstream: late}}, "")
	stage := services.NewStage(t, services.StageOptions{
		Kafka: services.SharedKafka(t), Authority: authority,
		Exports: []services.Export{{ID: "late", URL: urls["late"], Custom: []string{"maxRetries=2", "initialBackoff=100ms", "maxBackoff=200ms"}}},
	})
	stage.Produce(t, "late", 0, 500)
	stage.Program.Start(t)
	status := stage.UntilHeld(t, "late", "status")
	if status.Hold.Status != http.StatusBadGateway || status.Sessions.DeadLetters != 0 {
		t.Errorf("%+v, %+v", status.Hold, status.Sessions)
	}
	if n := stage.Metric(t, "session_export_retries_total", `sink="late"`); n < 2 {
		t.Errorf("%v retries before it held", n)
	}
	listener, err := net.Listen("tcp", late)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(b)
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	back := time.Now()
	stage.UntilDelivered(t, "late", 500)
	t.Logf("all is delivered %s after the receiver was there", time.Since(back).Round(time.Millisecond))
	b.complete(t, "/late", 500)
	stage.Finished(t, "late")
}
