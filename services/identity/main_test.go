//go:build services

package identity_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"sessionexport/services"
)

func TestMain(m *testing.M) { services.Main(m) }

// Clients of the realm. Their secrets hold every character that an encoding could trip over.
const (
	special       = `s3cr:et/+ %&"ü=\` + "`'"
	plain         = "plain-s3cret-of-the-realm"
	oddClient     = "exporter:1/+ %ü"
	scope         = "export.write"
	tokenLifespan = 300 // seconds, unless a client has its own
)

// client is a confidential client that may fetch tokens for itself.
type client struct {
	id, secret string
	lifespan   int // of its tokens in seconds; 0: the realm's
	noAccount  bool
}

var clients = []client{
	{id: "plain", secret: plain},
	{id: "special", secret: special},
	{id: oddClient, secret: special},
	{id: "five-seconds", secret: plain, lifespan: 5},
	{id: "two-seconds", secret: plain, lifespan: 2},
	{id: "no-account", secret: plain, noAccount: true},
}

func realm() (string, error) {
	var list []map[string]any
	for _, c := range clients {
		one := map[string]any{
			"clientId": c.id, "secret": c.secret, "enabled": true, "protocol": "openid-connect", "publicClient": false,
			"serviceAccountsEnabled": !c.noAccount, "standardFlowEnabled": false, "optionalClientScopes": []string{scope},
		}
		if c.lifespan > 0 {
			one["attributes"] = map[string]string{"access.token.lifespan": fmt.Sprint(c.lifespan)}
		}
		list = append(list, one)
	}
	text, err := json.Marshal(map[string]any{
		"realm": "export", "enabled": true, "accessTokenLifespan": tokenLifespan, "clients": list,
		"clientScopes": []map[string]any{{
			"name": scope, "protocol": "openid-connect", "attributes": map[string]string{"include.in.token.scope": "true"},
		}},
	})
	return string(text), err
}

// scene is what all tests of this package share.
type scene struct {
	authority *services.Authority
	keycloak  *services.Keycloak
}

var openScene = sync.OnceValues(func() (*scene, error) {
	authority, err := services.NewAuthority()
	if err != nil {
		return nil, err
	}
	text, err := realm()
	if err != nil {
		return nil, err
	}
	keycloak, err := services.OpenKeycloak(authority, text)
	if err != nil {
		return nil, err
	}
	services.AtEnd(keycloak.Close)
	return &scene{authority: authority, keycloak: keycloak}, nil
})

func share(t *testing.T) *scene {
	t.Helper()
	s, err := openScene()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Keycloak printed last:\n%s", s.keycloak.Output())
		}
	})
	return s
}

// oauth2 is the authentication of an export; style is "body" or "header".
type oauth2 struct {
	server string // host and port of the token server; "": Keycloak's own
	path   string // "": the realm's token endpoint
	client string
	secret string // the name of a secret file
	scope  string
	style  string
}

func (s *scene) authentication(o oauth2) string {
	if o.server == "" {
		o.server = s.keycloak.Address
	}
	if o.path == "" {
		o.path = s.keycloak.TokenPath()
	}
	if o.style == "" {
		o.style = "body"
	}
	id, _ := json.Marshal(o.client)
	text := fmt.Sprintf("grantType: clientCredentials, accessTokenUrl: %q, clientId: %s, clientSecretFile: %s, sendCredentials: %s",
		"https://"+o.server+o.path, id, o.secret, o.style)
	if o.scope != "" {
		text += ", scope: " + o.scope
	}
	return "{active: true, authType: oauth2, oAuth2: {" + text + "}}"
}

// secrets are the files that exports name.
func secrets() map[string]string {
	return map[string]string{"plain": plain, "special": special, "wrong": `wr0ng/s3cr:et +%&"`}
}
