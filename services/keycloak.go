//go:build services

package services

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	keycloakStartTimeout = 4 * time.Minute // 15 s on a quiet machine, a minute seen on a busy one
	keycloakStopTimeout  = time.Minute
	keycloakAdmin        = "admin"
	keycloakPassword     = "admin-password" // of a server that lives for one test
)

// Keycloak is an authorization server on HTTPS that keeps everything in memory: each start imports the realm anew, with
// new keys.
type Keycloak struct {
	Address string // host and port
	Realm   string

	dir     string
	home    string
	client  *http.Client
	args    []string
	process *Process // nil while it does not run
}

// OpenKeycloak starts a server with a realm, the JSON of which names it, and a certificate of the authority for localhost.
// Close ends it.
func OpenKeycloak(authority *Authority, realm string) (k *Keycloak, err error) {
	var named struct{ Realm string }
	if err := json.Unmarshal([]byte(realm), &named); err != nil {
		return nil, fmt.Errorf("reading the realm: %w", err)
	}
	home, err := Installed("keycloak", "")
	if err != nil {
		return nil, err
	}
	ports, err := FreePorts(2)
	if err != nil {
		return nil, err
	}
	dir, err := WorkFolder()
	if err != nil {
		return nil, err
	}
	k = &Keycloak{
		Address: Loopback(ports[0]), Realm: named.Realm, dir: dir, home: home,
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool, MinVersion: tls.VersionTLS12}}},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.Close())
		}
	}()
	if err := k.configure(authority, realm); err != nil {
		return k, fmt.Errorf("configuring Keycloak: %w", err)
	}
	k.args = []string{
		"--http-host=127.0.0.1", fmt.Sprintf("--https-port=%d", ports[0]), fmt.Sprintf("--http-management-port=%d", ports[1]),
		"--hostname=https://" + k.Address, "--https-certificate-file=server.crt", "--https-certificate-key-file=server.key",
	}
	return k, k.Start()
}

// configure lays out a home of its own around the installed libraries.
func (k *Keycloak) configure(authority *Authority, realm string) error {
	certificate, both, err := authority.Issue("keycloak")
	if err != nil {
		return err
	}
	key, _ := pem.Decode(both) // the key comes first
	for _, shared := range []string{"lib", "providers", "themes"} {
		if err := os.Symlink(filepath.Join(k.home, shared), filepath.Join(k.dir, shared)); err != nil {
			return err
		}
	}
	return writeFiles(k.dir, map[string][]byte{
		"server.crt":             pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}),
		"server.key":             pem.EncodeToMemory(key),
		"conf/keycloak.conf":     nil,
		"data/import/realm.json": []byte(realm),
	})
}

// Start starts a server that does not run and waits until it is ready.
func (k *Keycloak) Start() error {
	if k.process != nil {
		return errors.New("the server runs already")
	}
	// What bin/kc.sh would start, without a shell around it. The cache is local: any other talks on the network.
	java := []string{
		"java", "-Xms64m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
		"--add-opens=java.base/java.security=ALL-UNNAMED",
		"-Dkc.home.dir=" + k.dir, "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
		"-Dpicocli.disable.closures=true",
		"-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
		"-cp", filepath.Join(k.home, "lib", "quarkus-run.jar"), "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
		"start", "--optimized", "--cache=local", "--import-realm",
	}
	process, err := Launch(Command{
		Name: "Keycloak", Dir: k.dir,
		Env:  []string{"KC_BOOTSTRAP_ADMIN_USERNAME=" + keycloakAdmin, "KC_BOOTSTRAP_ADMIN_PASSWORD=" + keycloakPassword},
		Args: append(java, k.args...),
	}, "Bootstrap completed")
	if err != nil {
		return err
	}
	k.process = process
	ctx, cancel := context.WithTimeout(context.Background(), keycloakStartTimeout)
	defer cancel()
	return process.Ready(ctx)
}

// Kill ends the server at once. All that it kept goes.
func (k *Keycloak) Kill() error {
	process := k.process
	k.process = nil
	return process.Kill()
}

// Close ends the server and removes what it wrote.
func (k *Keycloak) Close() error {
	var err error
	if k.process != nil {
		err = k.process.Terminate(keycloakStopTimeout)
	}
	k.client.CloseIdleConnections()
	return errors.Join(err, os.RemoveAll(k.dir))
}

// Output returns the last lines that the server printed.
func (k *Keycloak) Output() string {
	if k.process == nil {
		return "(it does not run)"
	}
	return k.process.Output()
}

// Issuer is the realm's name in its tokens.
func (k *Keycloak) Issuer() string {
	return "https://" + k.Address + "/realms/" + k.Realm
}

// TokenPath is the path of the realm's token endpoint.
func (k *Keycloak) TokenPath() string {
	return "/realms/" + k.Realm + "/protocol/openid-connect/token"
}

// Keys returns the realm's public keys, a JSON Web Key Set.
func (k *Keycloak) Keys(ctx context.Context) (string, error) {
	return k.do(ctx, http.MethodGet, "/realms/"+k.Realm+"/protocol/openid-connect/certs", "", "", "")
}

// Admin calls the administration API of the realm: path begins after the realm.
func (k *Keycloak) Admin(tb testing.TB, method, path, body string) string {
	tb.Helper()
	form := url.Values{"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {keycloakAdmin}, "password": {keycloakPassword}}
	answer, err := k.do(Context(tb), http.MethodPost, "/realms/master/protocol/openid-connect/token",
		"application/x-www-form-urlencoded", form.Encode(), "")
	if err != nil {
		tb.Fatal(err)
	}
	var token struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(answer), &token); err != nil {
		tb.Fatal(err)
	}
	answer, err = k.do(Context(tb), method, "/admin/realms/"+k.Realm+path, "application/json", body, token.Access)
	if err != nil {
		tb.Fatal(err)
	}
	return answer
}

func (k *Keycloak) do(ctx context.Context, method, path, contentType, body, token string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, "https://"+k.Address+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := k.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("reading the answer to %s: %w", path, err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return "", fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	return string(answer), nil
}
