//go:build services

package services

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// The users of an engine with security, all with the same password.
const (
	EngineAdmin    = "administrator" // may do everything
	EngineExporter = "exporter"      // may create indices sessions-* and write to them, and write to the index given
	EnginePassword = "loopback tests only"

	engineHash = "$2a$10$5YY.TnDvdOcs/PvE5.Sl7u7fgxJDHGIrdES2JwsGcXacluZ0PGjZy" // of EnginePassword, by bcrypt
)

// secure writes the node's certificate, its users and what switches security on.
func (e *Engine) secure(config string) error {
	_, pair, err := e.o.Secure.Issue("node")
	if err != nil {
		return err
	}
	e.client = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: e.o.Secure.Pool, MinVersion: tls.VersionTLS12},
	}}
	at := strings.Index(string(pair), "-----BEGIN CERTIFICATE")
	if at < 0 {
		return fmt.Errorf("no certificate behind the key of the node")
	}
	files := map[string]string{
		"certs/node.key": string(pair[:at]),
		"certs/node.pem": string(pair[at:]),
		"certs/ca.pem":   string(e.o.Secure.PEM),
	}
	name := e.o.Product + ".yml"
	yaml, err := os.ReadFile(filepath.Join(config, name))
	if err != nil {
		return err
	}
	if e.openSearch() {
		plugin := filepath.Join(e.home, "plugins", "opensearch-security", "config")
		if err := os.CopyFS(filepath.Join(config, "opensearch-security"), os.DirFS(plugin)); err != nil {
			return err
		}
		files[name] = string(yaml) + openSearchSecurity
		files["opensearch-security/internal_users.yml"] = fmt.Sprintf(openSearchUsers, EngineAdmin, engineHash, EngineExporter, engineHash)
		files["opensearch-security/roles.yml"] = openSearchRoles
		files["opensearch-security/roles_mapping.yml"] = fmt.Sprintf(openSearchRolesMapping, EngineAdmin, EngineExporter)
	} else {
		files[name] = string(yaml) + elasticsearchSecurity
		files["users"] = fmt.Sprintf("%s:%s\n%s:%s\n", EngineAdmin, engineHash, EngineExporter, engineHash)
		files["users_roles"] = fmt.Sprintf("superuser:%s\nexporter_role:%s\n", EngineAdmin, EngineExporter)
		files["roles.yml"] = elasticsearchRoles
	}
	for name, content := range files {
		path := filepath.Join(config, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

const elasticsearchSecurity = `
xpack.security.enabled: true
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.key: certs/node.key
xpack.security.http.ssl.certificate: certs/node.pem
xpack.security.http.ssl.certificate_authorities: [ certs/ca.pem ]
`

const elasticsearchRoles = `
exporter_role:
  indices:
    - names: [ 'sessions-*' ]
      privileges: [ create_index, index, create, view_index_metadata, read ]
    - names: [ given ]
      privileges: [ index, create ]
`

const openSearchSecurity = `
plugins.security.ssl.transport.pemcert_filepath: certs/node.pem
plugins.security.ssl.transport.pemkey_filepath: certs/node.key
plugins.security.ssl.transport.pemtrustedcas_filepath: certs/ca.pem
plugins.security.ssl.transport.enforce_hostname_verification: false
plugins.security.ssl.http.enabled: true
plugins.security.ssl.http.pemcert_filepath: certs/node.pem
plugins.security.ssl.http.pemkey_filepath: certs/node.key
plugins.security.ssl.http.pemtrustedcas_filepath: certs/ca.pem
plugins.security.nodes_dn: [ "CN=node" ]
plugins.security.authcz.admin_dn: [ "CN=admin" ]
plugins.security.allow_default_init_securityindex: true
`

const openSearchUsers = `
_meta: { type: internalusers, config_version: 2 }
%s: { hash: "%s", reserved: false, backend_roles: [] }
%s: { hash: "%s", reserved: false, backend_roles: [] }
`

const openSearchRoles = `
_meta: { type: roles, config_version: 2 }
exporter_role:
  cluster_permissions: [ cluster_composite_ops ]
  index_permissions:
    - index_patterns: [ 'sessions-*' ]
      allowed_actions: [ create_index, write, read, 'indices:admin/mapping/put' ]
    - index_patterns: [ given ]
      allowed_actions: [ write, 'indices:admin/mapping/put' ]
`

const openSearchRolesMapping = `
_meta: { type: rolesmapping, config_version: 2 }
all_access: { reserved: false, users: [ %s ] }
exporter_role: { reserved: false, users: [ %s ] }
`
