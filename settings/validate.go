package settings

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"sessionexport/egress"
)

// validateExport checks what keys of an export mean together, and reads its
// custom configuration.
func (r *reader) validateExport(e *Export, at string) {
	if e.Name == "" {
		e.Name = e.ID
	}
	r.direct(e, at)
	r.reachable(e.EndpointDefinition.EndpointURL, join(at, "endpointDefinition.endpointUrl"))
	r.reachable(e.Authentication.OAuth2.AccessTokenURL, join(at, "authentication.oAuth2.accessTokenUrl"))
	if id := e.ExportBehavior.ManagementZone; id != "" {
		if zone, ok := (&Environment{ManagementZones: r.place.Zones}).Zone(id); ok {
			e.Zone = &zone
		} else {
			ids := make([]string, 0, len(r.place.Zones))
			for _, z := range r.place.Zones {
				if z.ID != "" && !contains(ids, z.ID) {
					ids = append(ids, z.ID)
				}
			}
			want := "the id of a management zone: " + strings.Join(ids, ", ")
			if len(ids) == 0 {
				want = "none: the environment has no management zones"
			}
			r.problem(join(at, "exportBehavior.managementZone"), quote(id), "is no management zone of the environment", want)
		}
	}
	path := join(at, "exportBehavior.customConfiguration")
	custom, mistakes := parseCustom(e.ExportBehavior.CustomConfiguration, e, r.place)
	e.Custom = custom
	for _, m := range mistakes {
		where := ""
		if m.line > 0 {
			where = fmt.Sprintf("line %d", m.line)
		}
		if m.key != "" {
			where = strings.TrimPrefix(where+", "+m.key, ", ")
		}
		p := r.problem(path, m.value, where+" "+m.message, m.want)
		if l := r.found[path]; l.textLine > 0 && m.line > 0 {
			p.Line, p.Column = l.textLine+m.line-1, 1
		}
	}
}

// direct checks what sending straight to Elasticsearch needs of the endpoint.
func (r *reader) direct(e *Export, at string) {
	if !e.SendDirect.Active {
		return
	}
	endpoint := &e.EndpointDefinition
	if endpoint.ContentType != NDJSON {
		r.problem(join(at, "endpointDefinition.contentType"), quote(endpoint.ContentType), "does not go with sendDirect", NDJSON)
	}
	if path := join(at, "endpointDefinition.usePost"); !endpoint.UsePost && r.given(path) {
		r.problem(path, "false", "does not go with sendDirect", "true")
	}
	if u := endpoint.EndpointURL.Parsed(); u != nil && !strings.HasSuffix(u.Path, "/_bulk") {
		r.problem(join(at, "endpointDefinition.endpointUrl"), quote(endpoint.EndpointURL.String()), "does not go with sendDirect", "a URL whose path ends in /_bulk")
	}
}

// reachable refuses a literal address that every connection to it would be
// refused for. Names are checked when they are resolved. What egress.allow
// leaves out is not refused here: a proxy may lead there.
func (r *reader) reachable(u URL, path string) {
	parsed := u.Parsed()
	if parsed == nil {
		return
	}
	addr, err := netip.ParseAddr(parsed.Hostname())
	if err != nil {
		return
	}
	var denied *egress.DeniedError
	if errors.As(egress.Rules{Deny: r.place.Deny}.Check(addr), &denied) {
		r.problem(path, quote(u.String()), "names an address that is never reached: "+denied.Reason, "another address")
	}
}

// validate checks what the parts of a file mean together.
func (r *reader) validate(f *File) {
	r.validateKafka(&f.Kafka)
	r.place.Deny = f.Egress.Deny
	for i, u := range f.Alerts.Alertmanager {
		r.reachable(u, fmt.Sprintf("alerts.alertmanager[%d]", i))
	}
	environments, topics, sinks := map[string]string{}, map[string]string{}, map[string]string{}
	if f.DeadLetters.Topic != "" {
		topics[f.DeadLetters.Topic] = "deadLetters.topic"
	}
	for i := range f.Environments {
		e := &f.Environments[i]
		at := fmt.Sprintf("environments[%d]", i)
		r.unique(environments, e.ID, at+".id")
		r.unique(topics, e.Topic, at+".topic")
		zones := map[string]string{}
		for j := range e.ManagementZones {
			z := &e.ManagementZones[j]
			r.unique(zones, z.ID, fmt.Sprintf("%s.managementZones[%d].id", at, j))
			if z.Name == "" {
				z.Name = z.ID
			}
		}
		place := r.place
		r.place.Zones = e.ManagementZones
		for j := range e.Exports {
			path := fmt.Sprintf("%s.exports[%d]", at, j)
			r.unique(sinks, e.Exports[j].ID, path+".id")
			r.validateExport(&e.Exports[j], path)
		}
		r.place = place
	}
}

// unique reports a name that something else has already.
func (r *reader) unique(taken map[string]string, name, path string) {
	if name == "" {
		return
	}
	if first, twice := taken[name]; twice {
		r.problem(path, quote(name), "is taken by "+first, "a name of its own")
		return
	}
	taken[name] = path
}

func (r *reader) validateKafka(k *Kafka) {
	const encryption, login = "kafka.tls", "kafka.sasl"
	files := map[string]string{"caFile": k.TLS.CAFile, "certFile": k.TLS.CertFile, "keyFile": k.TLS.KeyFile}
	switch {
	case k.TLS.Enabled:
		k.TLS.material = loadMaterial(r.place, r.place.Folder, k.TLS.CAFile, k.TLS.CertFile, k.TLS.KeyFile, func(key, message string) {
			r.problem(encryption+"."+key, "", message, "")
		})
	case !r.given(encryption + ".enabled"):
		// Forgotten, the password would travel in the clear.
		for _, key := range []string{"caFile", "certFile", "keyFile"} {
			if files[key] != "" {
				r.problem(encryption+"."+key, "", "is given, and kafka.tls.enabled is not", "enabled: true, or false to ignore the files")
				break
			}
		}
	}
	if k.SASL.Mechanism == "" {
		if r.given(login + ".mechanism") {
			return // it was not a known one
		}
		for _, key := range []string{"username", "password", "passwordFile"} {
			if r.given(login + "." + key) {
				r.problem(login+"."+key, "", "is given without kafka.sasl.mechanism", "a mechanism: "+strings.Join(rules["kafka.sasl.mechanism"].enum, ", "))
				return
			}
		}
		return
	}
	if !r.given(login + ".username") {
		r.problem(login+".username", "", "is missing", "it: the mechanism needs a user")
	}
	if !r.given(login+".password") && !r.given(login+".passwordFile") {
		r.problem(login+".password", "", "is missing", "it, or passwordFile: the mechanism needs a password")
	}
}
