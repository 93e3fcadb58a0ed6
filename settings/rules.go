package settings

import (
	"time"
)

// exportRule is the canonical path of an export.
const exportRule = "environments[].exports[]"

// rules says of every key what it may hold. The key is its canonical path.
var rules = map[string]rule{
	"version":    {required: true, min: 1, max: 1, want: "1", doc: "Version of the file's form."},
	"secretsDir": {def: "secrets", min: 1, doc: "Folder of secret files; a relative one starts at the configuration file's folder. Exports that come through the API may name files within it and no others."},

	"kafka":             {doc: "The cluster that all environments read."},
	"kafka.brokers":     {min: 1, max: 100, check: checkBroker, each: "host:port", doc: "Brokers to begin with; the others are found through them."},
	"kafka.groupPrefix": {def: "session-export", min: 1, max: 100, check: checkKafkaName, want: "1 to 100 of letters, digits, '.', '_', '-'", doc: "The consumer group of a sink is `<groupPrefix>.<sink id>`. Changing it starts every sink anew, as `startFrom` says."},
	"kafka.clientId":    {def: "session-export", min: 1, max: 100, check: checkKafkaName, want: "1 to 100 of letters, digits, '.', '_', '-'", doc: "Name by which brokers log and limit this client."},
	"kafka.instanceId":  {max: 100, check: checkKafkaName, want: "1 to 100 of letters, digits, '.', '_', '-'", doc: "Static membership: a restarted instance gets its partitions back without a rebalance. Must differ between instances; empty means dynamic membership."},
	"kafka.fetchBytes":  {def: "8388608", min: 1 << 20, max: 1 << 30, doc: "Bytes of fetched records that the process holds at most, shared by all its partitions and sinks."},

	"kafka.tls":          {doc: "Encryption of the connection, TLS 1.2 or later."},
	"kafka.tls.enabled":  {def: "false", doc: "Whether the connection is encrypted. The files below need it."},
	"kafka.tls.caFile":   {want: "the name of a PEM file", doc: "Certificates (PEM) of the authority that signed the brokers' ones; they replace the system's roots. Relative to the configuration file's folder, as are the next two."},
	"kafka.tls.certFile": {want: "the name of a PEM file", doc: "Client certificate (PEM). Needs `keyFile`."},
	"kafka.tls.keyFile":  {want: "the name of a PEM file", doc: "Its private key (PEM, not encrypted). Needs `certFile`."},

	"kafka.sasl":           {doc: "Authentication. Absent means none, or the client certificate's."},
	"kafka.sasl.mechanism": {enum: []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}, doc: "Mechanism. Username and password are needed with it."},
	"kafka.sasl.username":  {min: 1, max: 500, doc: "User."},
	"kafka.sasl.password":  {min: 1, max: 500, doc: "Its password."},

	"deadLetters":       {doc: "Where sessions go that were given up."},
	"deadLetters.topic": {def: "session-export.dead-letters", min: 1, max: 249, check: checkTopic, want: "a topic's name: 1 to 249 of letters, digits, '.', '_', '-'", doc: "Topic of the dead letters. Must not be the topic of an environment."},

	"environments":                                  {min: 1, max: 100, doc: "What is read, and where it goes."},
	"environments[].id":                             {required: true, min: 1, max: 64, check: checkEnvironmentID, want: "1 to 64 of letters, digits, '.', '_', '-'", doc: "Id, unique in the configuration."},
	"environments[].topic":                          {required: true, min: 1, max: 249, check: checkTopic, want: "a topic's name: 1 to 249 of letters, digits, '.', '_', '-'", doc: "Topic with the completed sessions. One environment is one topic: no two may name the same."},
	"environments[].managementZones":                {max: 1000, doc: "Named sets of applications by which exports narrow their scope."},
	"environments[].managementZones[].id":           {required: true, min: 1, max: 100, doc: "Id that exports refer to, unique in the environment. Put numbers in quotes."},
	"environments[].managementZones[].name":         {max: 200, doc: "Name for people. Default: the id."},
	"environments[].managementZones[].applications": {min: 1, max: 1000, each: "the name or the id of an application", doc: "Names or ids of applications; `*` stands for any characters. A session is in scope when at least one of its user actions matches."},
	"environments[].exports":                        {max: 3, doc: "The sinks: at most three an environment."},

	exportRule + ".id":   {required: true, min: 1, max: 64, check: checkSinkID, want: "1 to 64 of a-z, 0-9, '-'", doc: "Id of the sink, unique over the whole configuration. Its consumer group and metrics carry it."},
	exportRule + ".name": {max: 200, doc: "Name for people. Default: the id."},

	exportRule + ".endpointDefinition":                         {doc: "Where sessions go."},
	exportRule + ".endpointDefinition.endpointUrl":             {required: true, min: 1, max: 1000, doc: "Endpoint. HTTPS only, without user and password; path prefix and query are kept."},
	exportRule + ".endpointDefinition.enableUserSessionExport": {required: true, doc: "Whether sessions are sent. A disabled export keeps its place in the topic."},
	exportRule + ".endpointDefinition.contentType":             {def: JSON, enum: []string{JSON, NDJSON}, doc: "Media type of the body."},
	exportRule + ".endpointDefinition.usePost":                 {required: true, doc: "POST instead of PUT."},

	exportRule + ".authentication":          {doc: "How requests are authenticated."},
	exportRule + ".authentication.active":   {required: true, doc: "Whether they are. When false, the rest of `authentication` is ignored."},
	exportRule + ".authentication.authType": {required: true, enum: []string{AuthBasic, AuthOAuth2}, when: authActive, doc: "Kind of authentication. The other kind's section is ignored."},

	exportRule + ".authentication.basicAuth":          {when: authBasic, doc: "Basic authentication."},
	exportRule + ".authentication.basicAuth.username": {required: true, min: 1, max: 500, check: checkUsername, want: "1 to 500 characters, no colon", doc: "User."},
	exportRule + ".authentication.basicAuth.password": {required: true, min: 1, max: 500, doc: "Its password."},

	exportRule + ".authentication.oAuth2":                 {when: authOAuth, doc: "OAuth 2.0 client credentials."},
	exportRule + ".authentication.oAuth2.grantType":       {def: "clientCredentials", enum: []string{"clientCredentials"}, doc: "The only grant there is."},
	exportRule + ".authentication.oAuth2.accessTokenUrl":  {required: true, min: 1, max: 500, doc: "Token endpoint. HTTPS only."},
	exportRule + ".authentication.oAuth2.clientId":        {required: true, min: 1, max: 500, doc: "Client."},
	exportRule + ".authentication.oAuth2.clientSecret":    {required: true, min: 1, max: 500, doc: "Its secret."},
	exportRule + ".authentication.oAuth2.scope":           {min: 1, max: 500, doc: "Scope to ask for; none when absent."},
	exportRule + ".authentication.oAuth2.sendCredentials": {def: "body", enum: []string{"body", "header"}, doc: "Client id and secret travel in the form or in an Authorization header."},

	exportRule + ".sendDirect":           {doc: "Sending straight to Elasticsearch or OpenSearch. Needs `contentType: application/x-ndjson`, `usePost: true` and a URL whose path ends in `/_bulk`."},
	exportRule + ".sendDirect.active":    {required: true, doc: "Whether bodies are `_bulk` requests. When false, the rest of `sendDirect` is ignored."},
	exportRule + ".sendDirect.indexName": {required: true, min: 1, max: 255, check: checkIndex, want: "the name of an index, alias or data stream: lower case, at most 255 bytes, none of \\ / * ? \" < > | space , # :, not starting with - _ +", when: sendsDirect, doc: "Index, alias or data stream."},
	exportRule + ".sendDirect.docType":   {max: 255, check: checkDocType, want: "up to 255 visible characters, usually _doc", when: sendsDirect, doc: "`_type` of the action line, for Elasticsearch 6 and 7. Elasticsearch 8 and later refuse it: leave it out."},

	exportRule + ".exportBehavior":                     {doc: "What is sent, and what else happens."},
	exportRule + ".exportBehavior.managementZone":      {max: 100, doc: "Id of a management zone of the environment; every session when absent."},
	exportRule + ".exportBehavior.disableNotification": {required: true, doc: "Whether failures of this export are kept from those who are notified."},
	exportRule + ".exportBehavior.customConfiguration": {max: 20_000, secret: true, want: "lines of key=value, up to 20000 characters", doc: "Lines of `key=value`: see below."},

	"alerts":              {doc: "Who is told about failures, besides the log."},
	"alerts.shoutrrr":     {max: 20, check: checkService, each: "the URL of a notification service", doc: "URLs of notification services. They carry credentials and count as secrets; a file holds one a line."},
	"alerts.alertmanager": {max: 20, schemes: []string{"https", "http"}, doc: "URLs of Alertmanagers."},

	"server":              {doc: "Listener of the operator: `/metrics`, `/healthz`, `/readyz`, `/status`."},
	"server.address":      {def: "127.0.0.1:8080", min: 1, check: checkListen, want: "host:port or :port", doc: "Address to listen on."},
	"server.pprofAddress": {min: 1, check: checkLoopback, want: "host:port of a loopback address", doc: "Address of the profiler; off when absent. Loopback only."},

	"shutdown":       {doc: "The end."},
	"shutdown.grace": {def: "25s", min: int64(time.Second), max: int64(10 * time.Minute), doc: "How long an orderly end may take before what is in flight is cut off. Nothing is lost either way; keep it below what the process manager allows (30s in Kubernetes)."},

	"log":        {doc: "The log, on standard error."},
	"log.level":  {def: "info", enum: []string{"debug", "info", "warn", "error"}, doc: "Least level that is logged."},
	"log.format": {def: "json", enum: []string{"json", "text"}, doc: "Form of a line."},

	"egress":       {doc: "Limits on the addresses that anything outgoing may reach, by what names really resolve to. Link-local, multicast and unspecified addresses are always refused."},
	"egress.allow": {max: 1000, doc: "When not empty, only these networks are reached."},
	"egress.deny":  {max: 1000, doc: "Networks that are never reached."},
}

func authActive(e *Export) bool  { return e.Authentication.Active }
func authBasic(e *Export) bool   { return e.Authentication.Basic() }
func authOAuth(e *Export) bool   { return e.Authentication.OAuth() }
func sendsDirect(e *Export) bool { return e.SendDirect.Active }
