package settings

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
)

// value is one export as the settings API takes it.
const value = `{
	"endpointDefinition": {"endpointUrl": "https://endpoint-export.dev", "enableUserSessionExport": true, "contentType": "application/json", "usePost": false},
	"authentication": {"active": false},
	"sendDirect": {"active": false},
	"exportBehavior": {"managementZone": null, "disableNotification": false, "customConfiguration": null}
}`

func TestParseExport(t *testing.T) {
	e, problems := ParseExport([]byte(value), Place{Origin: FromAPI})
	if problems != nil {
		t.Fatal(problems)
	}
	if e.Method() != "PUT" || !e.Enabled() || e.Format() != "json" || e.Custom.MaxSessions != 1000 || e.Zone != nil {
		t.Errorf("%+v", e)
	}
}

// TestParseExportMistakes changes the value in one place and expects the one
// mistake that follows, or none.
func TestParseExportMistakes(t *testing.T) {
	dir := folder(t, nil)
	place := Place{Origin: FromAPI, SecretsDir: filepath.Join(dir, "secrets"), Folder: dir, Zones: []Zone{{ID: "7", Applications: []string{"a"}}}, Deny: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	const (
		none     = `"authentication": {"active": false}`
		indirect = `"sendDirect": {"active": false}`
		lines    = `"contentType": "application/json", "usePost": false`
		url      = `"https://endpoint-export.dev"`
	)
	basic := func(rest string) string {
		return `"authentication": {"active": true, "authType": "basic", "basicAuth": {` + rest + `}}`
	}
	oauth := func(rest string) string {
		return `"authentication": {"active": true, "authType": "oauth2", "oAuth2": {"accessTokenUrl": "https://t.example/", "clientId": "id", "clientSecret": "s"` + rest + `}}`
	}
	direct := strings.NewReplacer(lines, `"contentType": "application/x-ndjson", "usePost": true`, url, `"https://s.example/p/_bulk?pipeline=x"`)
	index := func(name string) string {
		return strings.Replace(direct.Replace(value), indirect, `"sendDirect": {"active": true, "indexName": "`+name+`"}`, 1)
	}
	replaced := func(from, to string) string { return strings.Replace(value, from, to, 1) }
	for what, c := range map[string]struct {
		value string
		want  string // pointer and message; "" = valid
	}{
		"a null where nothing is needed": {replaced(lines, `"contentType": null, "usePost": false`), ""},
		"no content type":                {replaced(`"contentType": "application/json", `, ""), ""},
		"a zone":                         {replaced(`"managementZone": null`, `"managementZone": "7"`), ""},
		"another zone":                   {replaced(`"managementZone": null`, `"managementZone": "8"`), "exportBehavior/managementZone is no management zone"},
		"an unknown property":            {replaced(none, none+`, "autentication": 1`), "autentication is not a known key"},
		"an id":                          {replaced(none, none+`, "id": "x"`), "id is not a known key"},
		"a name":                         {replaced(none, none+`, "name": "x"`), "name is not a known key"},
		"a property twice":               {replaced(none, none+`, `+none), "authentication is there twice"},
		"ignored values":                 {replaced(none, `"authentication": {"active": false, "authType": "kerberos", "basicAuth": {"password": 7}, "oAuth2": "x"}`), ""},
		"an ignored index":               {replaced(indirect, `"sendDirect": {"active": false, "indexName": "No/Index"}`), ""},
		"basic":                          {replaced(none, basic(`"username": "u", "password": "p"`)), ""},
		"basic without a password":       {replaced(none, basic(`"username": "u"`)), "authentication/basicAuth/password is missing"},
		"basic with a null password":     {replaced(none, basic(`"username": "u", "password": null`)), "authentication/basicAuth/password is missing"},
		"basic with an empty password":   {replaced(none, basic(`"username": "u", "password": ""`)), "authentication/basicAuth/password is empty"},
		"a masked password":              {replaced(none, basic(`"username": "u", "password": "***042***"`)), "authentication/basicAuth/password is the mask"},
		"a password like a mask":         {replaced(none, basic(`"username": "u", "password": "***42***"`)), ""},
		"a password file":                {replaced(none, basic(`"username": "u", "passwordFile": "sink.password", "password": "p"`)), "authentication/basicAuth/passwordFile is not a known key"},
		"basic that ignores oauth2":      {replaced(none, `"authentication": {"active": true, "authType": "basic", "basicAuth": {"username": "u", "password": "p"}, "oAuth2": 7}`), ""},
		"no type of authentication":      {replaced(none, `"authentication": {"active": true}`), "authentication/authType is missing"},
		"another type of authentication": {replaced(none, `"authentication": {"active": true, "authType": "ntlm"}`), "authentication/authType is not a known value"},
		"oauth2":                         {replaced(none, oauth("")), ""},
		"oauth2 with everything":         {replaced(none, oauth(`, "grantType": "clientCredentials", "scope": "s", "sendCredentials": "header"`)), ""},
		"oauth2 with nulls":              {replaced(none, oauth(`, "scope": null, "sendCredentials": null, "grantType": null`)), ""},
		"an empty scope":                 {replaced(none, oauth(`, "scope": ""`)), "authentication/oAuth2/scope is empty"},
		"a long scope":                   {replaced(none, oauth(`, "scope": "`+strings.Repeat("ü", 501)+`"`)), "authentication/oAuth2/scope is too long with 501 characters"},
		"a scope of 500":                 {replaced(none, oauth(`, "scope": "`+strings.Repeat("ü", 500)+`"`)), ""},
		"credentials elsewhere":          {replaced(none, oauth(`, "sendCredentials": "query"`)), "authentication/oAuth2/sendCredentials is not a known value"},
		"a token URL without TLS":        {replaced(none, strings.Replace(oauth(""), "https://t", "http://t", 1)), "authentication/oAuth2/accessTokenUrl is not https"},
		"an endpoint without TLS":        {replaced(url, `"http://endpoint-export.dev"`), "endpointDefinition/endpointUrl is not https"},
		"an empty endpoint":              {replaced(url, `""`), "endpointDefinition/endpointUrl is empty"},
		"an endpoint of 1000":            {replaced(url, `"https://e.dev/`+strings.Repeat("x", 986)+`"`), ""},
		"an endpoint of 1001":            {replaced(url, `"https://e.dev/`+strings.Repeat("x", 987)+`"`), "endpointDefinition/endpointUrl is too long with 1001 characters"},
		"a user in the endpoint":         {replaced(url, `"https://u:hunter2@e.dev/"`), "endpointDefinition/endpointUrl carries a user"},
		"a link-local endpoint":          {replaced(url, `"https://169.254.169.254/latest?key=hunter2"`), "endpointDefinition/endpointUrl names an address that is never reached: link-local"},
		"the same in IPv6 clothes":       {replaced(url, `"https://[::ffff:169.254.169.254]/"`), "endpointDefinition/endpointUrl names an address that is never reached"},
		"a denied endpoint":              {replaced(url, `"https://10.1.2.3/"`), "endpointDefinition/endpointUrl names an address that is never reached: denied"},
		"a private endpoint":             {replaced(url, `"https://192.168.1.2/"`), ""},
		"a link-local token server":      {replaced(none, strings.Replace(oauth(""), "t.example", "[fe80::1]", 1)), "authentication/oAuth2/accessTokenUrl names an address that is never reached"},
		"text for a boolean":             {replaced(`"usePost": false`, `"usePost": "false"`), "endpointDefinition/usePost is text"},
		"no exportBehavior": {replaced(`,
	"exportBehavior": {"managementZone": null, "disableNotification": false, "customConfiguration": null}`, ""), "exportBehavior/disableNotification is missing"},
		"an unknown custom key":         {replaced(`"customConfiguration": null`, `"customConfiguration": "\nmaxSesions=1"`), "exportBehavior/customConfiguration line 2, maxSesions is not a known key"},
		"a file of the machine":         {replaced(`"customConfiguration": null`, `"customConfiguration": "header.X=@/etc/passwd"`), "exportBehavior/customConfiguration line 1, header.X names a file outside"},
		"a certificate outside":         {replaced(`"customConfiguration": null`, `"customConfiguration": "caFile=../ca.pem"`), "exportBehavior/customConfiguration line 1, caFile names a file outside"},
		"a certificate beside the file": {replaced(`"customConfiguration": null`, `"customConfiguration": "caFile=ca.pem"`), "exportBehavior/customConfiguration line 1, caFile names \"ca.pem\", which does not exist"},
		"a secret header":               {replaced(`"customConfiguration": null`, `"customConfiguration": "header.X=@sink.password"`), ""},

		"direct":                           {index("sessions"), ""},
		"direct with a type":               {strings.Replace(index("sessions"), `"sessions"`, `"sessions", "docType": "_doc"`, 1), ""},
		"direct without a type":            {strings.Replace(index("sessions"), `"sessions"`, `"sessions", "docType": ""`, 1), ""},
		"direct without an index":          {strings.Replace(index("sessions"), `, "indexName": "sessions"`, ``, 1), "sendDirect/indexName is missing"},
		"direct, content type":             {strings.Replace(index("sessions"), "x-ndjson", "json", 1), "endpointDefinition/contentType does not go with sendDirect"},
		"direct without a content type":    {strings.Replace(index("sessions"), `"contentType": "application/x-ndjson", `, "", 1), "endpointDefinition/contentType does not go with sendDirect"},
		"direct, PUT":                      {strings.Replace(index("sessions"), `"usePost": true`, `"usePost": false`, 1), "endpointDefinition/usePost does not go with sendDirect"},
		"direct, path":                     {strings.Replace(index("sessions"), "/_bulk", "/_bulk/", 1), "endpointDefinition/endpointUrl does not go with sendDirect"},
		"direct, _bulk in the query alone": {strings.Replace(index("sessions"), "/p/_bulk?pipeline=x", "/p?q=/_bulk", 1), "endpointDefinition/endpointUrl does not go with sendDirect"},
		"an index of 255 bytes":            {index(strings.Repeat("x", 255)), ""},
		"an index of 256 bytes":            {index(strings.Repeat("x", 256)), "sendDirect/indexName is longer than 255 bytes"},
		"an index of 255 bytes, two each":  {index(strings.Repeat("ü", 127) + "x"), ""},
		"an index of 256 bytes, two each":  {index(strings.Repeat("ü", 128)), "sendDirect/indexName is longer than 255 bytes"},
		"an index with dots and dashes":    {index(".ds-logs-x_y+z"), ""},
		"index .":                          {index("."), "sendDirect/indexName is no name"},
		"index ..":                         {index(".."), "sendDirect/indexName is no name"},
		"index -x":                         {index("-x"), "sendDirect/indexName starts with -"},
		"index _x":                         {index("_x"), "sendDirect/indexName starts with _"},
		"index +x":                         {index("+x"), "sendDirect/indexName starts with +"},
		"index X":                          {index("X"), "sendDirect/indexName is not in lower case"},
		"index Ü":                          {index("Ü"), "sendDirect/indexName is not in lower case"},
		"index tab":                        {index("a\\tb"), "sendDirect/indexName holds a control character"},
		"no value":                         {"", " is not JSON"},
		"a null value":                     {"null", " is nothing"},
		"a list":                           {"[]", " is a list"},
	} {
		_, problems := ParseExport([]byte(c.value), place)
		var got []string
		for _, p := range problems {
			got = append(got, p.Pointer()+" "+p.Message)
		}
		if c.want == "" && got != nil || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], c.want)) {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
		if strings.Contains(problems.Error(), "hunter2") {
			t.Errorf("%s: a secret is quoted: %v", what, problems)
		}
	}
	for _, c := range "\\/*?\"<>| ,#:" {
		v := index("a" + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(c)) + "b")
		if problems := ValidateExport([]byte(v), place); len(problems) != 1 || problems[0].Pointer() != "sendDirect/indexName" {
			t.Errorf("index with %q: %v", c, problems)
		}
	}
}

func TestPointer(t *testing.T) {
	for path, want := range map[string]string{
		"endpointDefinition.endpointUrl": "endpointDefinition/endpointUrl",
		"environments[0].exports[1].id":  "environments/0/exports/1/id",
		"":                               "",
	} {
		if got := (Problem{Path: path}).Pointer(); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
