package trial

import (
	"net/http"
	"strings"

	"sessionexport/auth"
)

// tokenRows are about answers of the token server that brought no token.
var tokenRows = []row{
	{"token_client", func(s *situation) bool {
		return s.token.Code == "invalid_client" || s.token.Code == "" && s.token.Status == http.StatusUnauthorized
	},
		"The token server does not know the client, or its secret is wrong.",
		"Check clientId and enter clientSecret again. Some servers want them in a header instead of the form: sendCredentials: header."},
	{"token_scope", code("invalid_scope"),
		"The token server does not know the scope, or does not grant it to this client.",
		"Check scope, or leave it away when the server has a default; otherwise let the server grant it to the client."},
	{"token_grant", code("unauthorized_client", "unsupported_grant_type"),
		"The token server does not allow this client the grant client_credentials.",
		"Switch that grant on for the client at the token server. It is the only one that is supported."},
	{"token_request", code("invalid_request", "invalid_grant"),
		"The token server finds something missing or wrong in the request.",
		"Many servers need a scope: check scope. Some want the credentials in a header: sendCredentials: header."},
	{"token_redirect", tokenStatus(300, 399),
		"The token server redirects. Credentials are never sent on to another address.",
		"Put the final address into accessTokenUrl; often a login page is behind it, and the address is not that of tokens."},
	{"token_path", tokenStatus(404, 405),
		"There is no token endpoint at {url}.",
		"Check the path of accessTokenUrl. For OpenID Connect it stands as token_endpoint in /.well-known/openid-configuration."},
	{"token_throttled", tokenStatus(429, 429),
		"The token server gets too many requests.",
		"Try again later; look for other users of the same client."},
	{"token_ill", tokenStatus(500, 599),
		"The token server is ill ({status}).",
		"Try again later; look into the log of the token server."},
	{"token_answer", func(s *situation) bool { return s.token.Reason == auth.ReasonMalformed },
		"The token server answered with something that holds no access token, such as a web page.",
		"Check accessTokenUrl: the answer must be JSON with access_token."},
	{"token_refused", always,
		"The token server refused the request ({status}).",
		"Check clientId, clientSecret and scope, and look into the log of the token server."},
}

func code(of ...string) func(*situation) bool {
	return func(s *situation) bool {
		for _, known := range of {
			if s.token.Code == known {
				return true
			}
		}
		return false
	}
}

func tokenStatus(from, to int) func(*situation) bool {
	return func(s *situation) bool { return s.token.Status >= from && s.token.Status <= to }
}

// statusRows are about answers of the endpoint to the request as a whole.
var statusRows = []row{
	{"answer_cut", func(s *situation) bool { return s.verdict.Reason == "cut_short" || s.verdict.Reason == "reset" },
		"The answer broke off before its end.",
		"Look into the log of the endpoint and of the load balancer before it."},
	{"timeout_reading", func(s *situation) bool { return s.verdict.Reason == "timeout" },
		"The answer began and did not end within {timeout}.",
		"Look for what slows the endpoint down; requestTimeout in the custom configuration allows more time."},
	{"not_elasticsearch", func(s *situation) bool { return s.verdict.Reason == "bulk_answer" },
		"The answer is a success, but not one of the _bulk API: something else than Elasticsearch or OpenSearch answers, or something in between changes the answers.",
		"Check host, port and path of endpointUrl. For a receiver of another kind switch sendDirect off."},
	{"redirect", statuses(300, 399),
		"The endpoint redirects to {location}. Sessions and credentials are never sent on to another address.",
		"Put the final address into endpointUrl. Often a slash at the end of the path, or another host name, is all that is missing."},
	{"type_refused", both(direct, status(http.StatusBadRequest), func(s *situation) bool {
		return s.export.SendDirect.DocType != "" && strings.Contains(s.verdict.Excerpt, "illegal_argument_exception")
	}),
		"The cluster refuses the whole request, most likely because of the document type {doctype}: Elasticsearch 8 and later and OpenSearch know no types.",
		"Leave docType empty, unless the cluster is Elasticsearch 6 or 7."},
	{"bulk_request", both(direct, status(http.StatusBadRequest)),
		"The cluster refuses the whole request, not single sessions.",
		"Look at the answer above: the path before /_bulk may be wrong, or the query of endpointUrl hold a parameter that _bulk does not know."},
	{"media_type", both(direct, status(http.StatusNotAcceptable, http.StatusUnsupportedMediaType)),
		"The cluster does not take the media type of the request, as versions before 7 or something in between may do.",
		"Check that endpointUrl leads to Elasticsearch or OpenSearch itself, and that no header of the custom configuration replaces Accept or Content-Type."},
	{"actions_missing", both(status(http.StatusBadRequest), func(s *situation) bool {
		u := s.export.EndpointDefinition.EndpointURL.Parsed()
		return !s.export.SendDirect.Active && u != nil && strings.HasSuffix(u.Path, "/_bulk")
	}),
		"The path ends in /_bulk, and documents were sent without the lines that tell Elasticsearch what to do with them.",
		"Switch sendDirect on, with an indexName."},
	{"body_refused", status(http.StatusBadRequest, http.StatusUnprocessableEntity),
		"The endpoint was reached and does not understand the body, or finds something missing in it.",
		"Compare what it expects with `session-export sample`: one JSON document a line as {type}. bodyFormat=array in the custom configuration sends one array of documents instead."},
	{"credentials_missing", both(status(http.StatusUnauthorized), func(s *situation) bool { return !s.export.Authentication.Active }),
		"The endpoint asks for credentials, and authentication is not active.",
		"Activate authentication, or send a key with header.<Name>=@file in the custom configuration."},
	{"token_not_accepted", both(status(http.StatusUnauthorized), func(s *situation) bool { return s.export.Authentication.OAuth() }),
		"The token server issued a token, and the endpoint does not accept it.",
		"Check that the endpoint trusts this token server, and that scope and audience are what it expects."},
	{"password", status(http.StatusUnauthorized),
		"User or password is wrong.",
		"Check username and enter the password again; look whether the account is locked."},
	{"index_rights", both(direct, status(http.StatusForbidden)),
		"The user may not write to {index}, or the index is closed to writing.",
		"Grant the user the privileges to write to {index} and to create it (write, create_index), and look for blocks of the index or of the whole cluster (disk full)."},
	{"rights", status(http.StatusForbidden),
		"The endpoint knows who is sending, or does not care, and does not allow it.",
		"Grant the user or the client the right to send; check whether a firewall for web applications or a list of addresses stands before the endpoint."},
	{"path", status(http.StatusNotFound, http.StatusGone),
		"The host was reached, and there is nothing at this path.",
		"Check the path of endpointUrl, letter by letter. Behind a gateway the path may need a prefix."},
	{"method", status(http.StatusMethodNotAllowed),
		"The path does not take {method}{allow}.",
		"Switch usePost, which chooses between POST and PUT; or the path is not the one that takes sessions."},
	{"proxy_login", status(http.StatusProxyAuthRequired),
		"Something between here and the endpoint asks for credentials of its own.",
		"Put user and password into the URL in HTTPS_PROXY, or let this machine pass without them."},
	{"slow_endpoint", status(http.StatusRequestTimeout),
		"The endpoint waited for the rest of the request and gave up: the line is slow, or its patience is short.",
		"Raise the endpoint's time limit for requests, or use compression=gzip in the custom configuration."},
	{"too_large", status(http.StatusRequestEntityTooLarge),
		"The body of {bytes} bytes is larger than what the endpoint, or a proxy before it, takes.",
		"Raise its limit for bodies to at least {maxBytes} bytes (nginx: client_max_body_size, Elasticsearch: http.max_content_length), or lower maxBytes in the custom configuration."},
	{"content_type", status(http.StatusUnsupportedMediaType, http.StatusNotAcceptable),
		"The endpoint does not take {type}.",
		"Choose the other contentType (application/json or application/x-ndjson). If compression=gzip is set, it may be that."},
	{"length", status(http.StatusLengthRequired, http.StatusExpectationFailed),
		"Something between here and the endpoint, or the endpoint itself, speaks an old version of HTTP.",
		"Leave the gateway in between out, or set httpVersion=auto in the custom configuration."},
	{"wrong_server", status(http.StatusMisdirectedRequest),
		"The server that answered is not the one for this host name.",
		"Check the host of endpointUrl, and leave httpVersion=auto out of the custom configuration."},
	{"throttled", func(s *situation) bool { return s.verdict.Kind.String() == "throttled" },
		"The endpoint is overloaded or limits how much it takes, and asks for a pause of {wait}.",
		"Try again later. If it happens with so few sessions, raise the endpoint's limit: an export sends many times as much."},
	{"gateway", status(http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout),
		"A gateway or load balancer answered, and the endpoint behind it is down, starting or too slow ({status}).",
		"Check that the endpoint itself runs and is healthy for its load balancer."},
	{"endpoint_ill", statuses(500, 599),
		"The endpoint failed while it handled the request ({status}).",
		"Look into the log of the endpoint. If it fails on the content, compare what it expects with `session-export sample`."},
	{"refused", always,
		"The endpoint refused the request ({status}).",
		"Look at the answer above and into the log of the endpoint."},
}

func direct(s *situation) bool { return s.export.SendDirect.Active }

func statuses(from, to int) func(*situation) bool {
	return func(s *situation) bool { return s.verdict.Status >= from && s.verdict.Status <= to }
}
