package settings

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// The media types of an endpoint.
const (
	JSON   = "application/json"
	NDJSON = "application/x-ndjson"
)

// The types of authentication.
const (
	AuthBasic  = "basic"
	AuthOAuth2 = "oauth2"
)

// Export is one sink: an endpoint, how to reach it, and what to send to it.
type Export struct {
	ID                 string             `key:"id"`   // unique over the whole configuration
	Name               string             `key:"name"` // the id when none is given
	EndpointDefinition EndpointDefinition `key:"endpointDefinition"`
	Authentication     Authentication     `key:"authentication"`
	SendDirect         SendDirect         `key:"sendDirect"`
	ExportBehavior     ExportBehavior     `key:"exportBehavior"`

	Custom Custom // what exportBehavior.customConfiguration says, with defaults
	Zone   *Zone  // the management zone of exportBehavior; nil = every session
}

// Enabled tells whether the export sends anything.
func (e *Export) Enabled() bool { return e.EndpointDefinition.EnableUserSessionExport }

// Method is the method of its requests.
func (e *Export) Method() string {
	if e.EndpointDefinition.UsePost {
		return "POST"
	}
	return "PUT"
}

// Format names the body that it sends: "elasticsearch", "ndjson" or "json".
func (e *Export) Format() string {
	switch {
	case e.SendDirect.Active:
		return "elasticsearch"
	case e.EndpointDefinition.ContentType == NDJSON:
		return "ndjson"
	default:
		return "json"
	}
}

// least is the length from which a text that may be a secret is scrubbed like
// one: shorter ones would tear holes into what has nothing to do with them.
const least = 8 // bytes

// Secrets lists every secret of the export, for scrubbing them from what
// receivers answer: credentials in each form in which they travel, and the
// longer values of headers and of the endpoint's query.
func (e *Export) Secrets() []Secret {
	var all []Secret
	if e.Authentication.Basic() {
		b := e.Authentication.BasicAuth
		all = append(all, NewSecret(base64.StdEncoding.EncodeToString([]byte(b.Username+":"+b.Password.Reveal()))))
	}
	for _, s := range []Secret{e.Authentication.BasicAuth.Password, e.Authentication.OAuth2.ClientSecret, e.Custom.SigningSecret} {
		if !s.Empty() {
			all = append(all, s)
		}
	}
	if bare, prefixed := strings.CutPrefix(e.Custom.SigningSecret.Reveal(), signingPrefix); prefixed {
		all = append(all, NewSecret(bare))
	}
	for _, h := range e.Custom.Headers {
		if h.FromFile || len(h.Value.Reveal()) >= least {
			all = append(all, h.Value)
		}
	}
	if u := e.EndpointDefinition.EndpointURL.Parsed(); u != nil {
		for pair := range strings.SplitSeq(u.RawQuery, "&") {
			_, raw, valued := strings.Cut(pair, "=")
			if !valued {
				raw = pair
			}
			if len(raw) < least {
				continue
			}
			all = append(all, NewSecret(raw))
			if plain, err := url.QueryUnescape(raw); err == nil && plain != raw {
				all = append(all, NewSecret(plain))
			}
		}
	}
	return all
}

// EndpointDefinition is where sessions go.
type EndpointDefinition struct {
	EndpointURL             URL    `key:"endpointUrl"`
	EnableUserSessionExport bool   `key:"enableUserSessionExport"`
	ContentType             string `key:"contentType"`
	UsePost                 bool   `key:"usePost"`
}

// Authentication is how the service makes itself known to the endpoint.
type Authentication struct {
	Active    bool      `key:"active"`
	AuthType  string    `key:"authType"`
	BasicAuth BasicAuth `key:"basicAuth"`
	OAuth2    OAuth2    `key:"oAuth2"`
}

// Basic tells whether requests carry a user and a password.
func (a *Authentication) Basic() bool { return a.Active && a.AuthType == AuthBasic }

// OAuth tells whether requests carry a token.
func (a *Authentication) OAuth() bool { return a.Active && a.AuthType == AuthOAuth2 }

// BasicAuth is a user and a password.
type BasicAuth struct {
	Username string `key:"username"`
	Password Secret `key:"password"`
}

// OAuth2 is a client of a token server.
type OAuth2 struct {
	GrantType       string `key:"grantType"` // clientCredentials
	AccessTokenURL  URL    `key:"accessTokenUrl"`
	ClientID        string `key:"clientId"`
	ClientSecret    Secret `key:"clientSecret"`
	Scope           string `key:"scope"`           // "" = none is asked for
	SendCredentials string `key:"sendCredentials"` // body or header
}

// InHeader tells whether the client's credentials travel in a header.
func (o *OAuth2) InHeader() bool { return o.SendCredentials == "header" }

// SendDirect is the way into Elasticsearch or OpenSearch.
type SendDirect struct {
	Active    bool   `key:"active"`
	IndexName string `key:"indexName"`
	DocType   string `key:"docType"` // "" = no _type in the action line
}

// ExportBehavior is what is sent, and what happens besides.
type ExportBehavior struct {
	ManagementZone      string `key:"managementZone"` // a zone's id; "" = every session
	DisableNotification bool   `key:"disableNotification"`
	CustomConfiguration string `key:"customConfiguration"` // as written; Export.Custom is what it says
}
