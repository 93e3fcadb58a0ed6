package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const unsaved = `endpointDefinition: {endpointUrl: "https://receiver.example/in", enableUserSessionExport: true, usePost: true}
authentication: %s
sendDirect: {active: false}
exportBehavior: {disableNotification: false}
`

func TestParseUnsaved(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "hush"), []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	place := Place{Origin: FromFile, Folder: folder, SecretsDir: folder}
	for name, c := range map[string]struct {
		authentication string
		password       string // "" = none
		client         string
		asked          string
		problem        string
	}{
		"nothing is needed":     {"{active: false}", "", "", "", ""},
		"inactive":              {"{active: false, authType: basic, basicAuth: {username: u}}", "", "", "", ""},
		"given":                 {"{active: true, authType: basic, basicAuth: {username: u, password: given}}", "given", "", "", ""},
		"named":                 {"{active: true, authType: basic, basicAuth: {username: u, passwordFile: hush}}", "from-file", "", "", ""},
		"missing":               {"{active: true, authType: basic, basicAuth: {username: u}}", "answer", "", "authentication.basicAuth.password", ""},
		"null":                  {"{active: true, authType: basic, basicAuth: {username: u, password: }}", "answer", "", "authentication.basicAuth.password", ""},
		"empty":                 {"{active: true, authType: basic, basicAuth: {username: u, password: ''}}", "answer", "", "authentication.basicAuth.password", ""},
		"masked":                {"{active: true, authType: basic, basicAuth: {username: u, password: '***123***'}}", "answer", "", "authentication.basicAuth.password", ""},
		"missing of a client":   {"{active: true, authType: oauth2, oAuth2: {accessTokenUrl: 'https://t.example', clientId: c}}", "", "answer", "authentication.oAuth2.clientSecret", ""},
		"no section":            {"{active: true, authType: basic}", "", "", "", "authentication.basicAuth.username: is missing"},
		"of an unknown type":    {"{active: true, authType: none}", "", "", "", "authType"},
		"of no type":            {"{active: true}", "", "", "", "authType: is missing"},
		"authentication is odd": {"[]", "", "", "", "authentication: is a list"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := ""
			e, err := ParseUnsaved(fmt.Appendf(nil, unsaved, c.authentication), "x.yaml", place, func(path string) (Secret, bool) {
				asked = path
				return NewSecret("answer"), true
			})
			if asked != c.asked {
				t.Errorf("asked for %q, want %q", asked, c.asked)
			}
			if c.problem != "" {
				var problems Problems
				if !errors.As(err, &problems) || !strings.Contains(err.Error(), c.problem) || !strings.Contains(err.Error(), "x.yaml:") {
					t.Errorf("error %v, want %q", err, c.problem)
				}
				return
			}
			if err != nil || e.ID != "unsaved" || e.Authentication.BasicAuth.Password.Reveal() != c.password ||
				e.Authentication.OAuth2.ClientSecret.Reveal() != c.client {
				t.Errorf("export %+v, %v", e, err)
			}
		})
	}
}

func TestParseUnsavedWithoutAnAnswer(t *testing.T) {
	missing := fmt.Appendf(nil, unsaved, "{active: true, authType: basic, basicAuth: {username: u}}")
	for name, ask := range map[string]func(string) (Secret, bool){
		"nobody to ask": nil,
		"no answer":     func(string) (Secret, bool) { return Secret{}, false },
	} {
		_, err := ParseUnsaved(missing, "x.yaml", Place{}, ask)
		if err == nil || !strings.Contains(err.Error(), "authentication.basicAuth.password: is missing") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseUnsavedForms(t *testing.T) {
	value := fmt.Sprintf(unsaved, "{active: false}")
	item := "- id: shop\n  name: Shop\n  " + strings.ReplaceAll(strings.TrimSpace(value), "\n", "\n  ")
	inJSON := `{"endpointDefinition":{"endpointUrl":"https://receiver.example/in","enableUserSessionExport":true,"usePost":true},
"authentication":{"active":false},"sendDirect":{"active":false},"exportBehavior":{"disableNotification":false}}`
	for name, c := range map[string]struct{ text, id string }{
		"value": {value, "unsaved"}, "item": {item, "shop"}, "json": {inJSON, "unsaved"}, "with an id": {"id: mine\n" + value, "mine"},
	} {
		e, err := ParseUnsaved([]byte(c.text), name, Place{}, nil)
		if err != nil || e.ID != c.id || e.EndpointDefinition.EndpointURL.String() != "https://receiver.example/in" {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	for name, text := range map[string]string{
		"two":      item + "\n" + item,
		"a word":   "export",
		"nothing":  "",
		"no YAML":  "a: [",
		"not safe": strings.ReplaceAll(value, "https:", "http:"),
	} {
		var problems Problems
		if _, err := ParseUnsaved([]byte(text), "x.yaml", Place{}, nil); !errors.As(err, &problems) || !strings.Contains(err.Error(), "x.yaml") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever stands in a file, it is an export or it has problems, and a secret
// that was asked for is in none of them.
func FuzzParseUnsaved(f *testing.F) {
	f.Add(fmt.Sprintf(unsaved, "{active: true, authType: basic, basicAuth: {username: u}}"))
	f.Add("- " + strings.ReplaceAll(fmt.Sprintf(unsaved, "{active: false}"), "\n", "\n  "))
	f.Add(`{"authentication": {"active": true, "authType": "oauth2", "oAuth2": {"clientSecret": "***001***"}}}`)
	f.Add("authentication: &a {active: true, authType: basic, basicAuth: *a}")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseUnsaved([]byte(text), "x.yaml", Place{Origin: FromAPI}, func(string) (Secret, bool) {
			return NewSecret("hush-hush-answer"), true
		})
		var problems Problems
		switch {
		case err != nil && (!errors.As(err, &problems) || len(problems) == 0):
			t.Errorf("error %v", err)
		case err == nil && e.EndpointDefinition.EndpointURL.Empty():
			t.Errorf("an export without an endpoint: %+v", e)
		}
		if all := fmt.Sprintf("%+v %v", e, err); strings.Contains(all, "hush-hush-answer") && !strings.Contains(text, "hush-hush-answer") {
			t.Errorf("the secret is shown: %s", all)
		}
	})
}
