package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

func (s *server) authorized(r *http.Request) bool {
	switch {
	case *basic != "":
		return r.Header.Get("Authorization") == "Basic "+base64.StdEncoding.EncodeToString([]byte(*basic))
	case *oauth != "":
		t := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		s.tokMu.Lock()
		defer s.tokMu.Unlock()
		return time.Now().Before(s.tok[t])
	}
	return true
}

func (s *server) token(w http.ResponseWriter, r *http.Request) {
	id, sec := r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	if u, p, ok := r.BasicAuth(); ok {
		id, sec = u, p
	}
	if r.Method != http.MethodPost || r.PostFormValue("grant_type") != "client_credentials" || id+":"+sec != *oauth {
		s.tokenFail.Add(1)
		http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
		return
	}
	var b [24]byte
	rand.Read(b[:])
	t := base64.RawURLEncoding.EncodeToString(b[:])
	s.tokMu.Lock()
	s.tok[t] = time.Now().Add(*tokenTTL)
	s.tokMu.Unlock()
	s.tokens.Add(1)
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":%d,"scope":%q}`, t, int(tokenTTL.Seconds()), r.PostFormValue("scope"))
}

// elastic answers what Elasticsearch clients ask before they write.
func (s *server) elastic(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/":
		io.WriteString(w, `{"name":"bench","cluster_name":"bench","cluster_uuid":"AAAAAAAAAAAAAAAAAAAAAA","version":{"number":"8.19.0","build_flavor":"default","build_type":"docker","build_hash":"0","build_date":"2025-07-23T22:10:18.138215839Z","build_snapshot":false,"lucene_version":"9.12.2","minimum_wire_compatibility_version":"7.17.0","minimum_index_compatibility_version":"7.0.0"},"tagline":"You Know, for Search"}`)
	case "/_cluster/health":
		io.WriteString(w, `{"cluster_name":"bench","status":"green","timed_out":false,"number_of_nodes":1,"number_of_data_nodes":1}`)
	default:
		io.WriteString(w, `{}`)
	}
}
