package doctor

// rule is one thing that must hold. A reason may have places for details.
type rule struct {
	name     string
	severity Severity
	reason   string
	mend     string
}

// The check.
var (
	checkMissing = rule{"check-missing", Error, "no ext_authz filter asks about the requests of this listener",
		"add envoy.filters.http.ext_authz right before the router"}
	checkDisabled = rule{"check-disabled", Error, "the check is switched off here: %s",
		"remove disabled, filter_enabled and the like, and let the check decide what needs no session"}
	checkFailsOpen = rule{"check-fails-open", Error, "a request passes when the check does not answer", "failure_mode_allow: false"}
	checkStatus    = rule{"check-error-status", Error, "a check that does not answer looks like a refusal (403), to people and to retries",
		"status_on_error: {code: 503}"}
	checkRaw = rule{"check-raw-headers", Error, "the check sees repeated headers joined and other bytes replaced, so it may read another value than the backend",
		"encode_raw_headers: true"}
	checkMutations = rule{"check-mutation-rules", Error, "an answer of the check may rewrite :path and :method after the route was judged",
		"decoder_header_mutation_rules: {disallow_system: true, allow_envoy: true, disallow_is_error: true}"}
	checkValidate   = rule{"check-validate-mutations", Error, "a malformed header in an answer of the check is not refused", "validate_mutations: true"}
	checkRouteCache = rule{"check-route-cache", Error, "the route is chosen anew after the check, which judged another one", "clear_route_cache: false"}
)

// What stands around it.
var (
	filterBefore = rule{"filter-before-check", Error, "this filter can answer a request before the check is asked", "move it below ext_authz, or remove it"}
	filterAfter  = rule{"filter-after-check", Error, "this filter can change path, method, host or route after the check: %s",
		"move it above ext_authz, or limit it to responses"}
	filterUnknown = rule{"filter-unknown", Warning, "what this filter does to a request after the check cannot be judged: its type is %s",
		"move it above ext_authz, if it changes requests"}
	rewrite = rule{"rewrite", Error, "the backend gets another path or host than the check saw: %s", "remove it, and let clients ask for what the backend serves"}
)

// Routes.
var (
	noCatchAll = rule{"no-catch-all", Error, "a path that no route matches is answered without asking the check",
		"end the routes with match: {prefix: /} and a direct_response"}
	noHostCatchAll = rule{"no-host-catch-all", Error, "a host that no virtual host matches is answered without asking the check",
		`add a virtual host with domains: ["*"] and a direct_response`}
	pathParameters = rule{"path-parameters", Error, "the route is chosen by a path without its parameters (;x), which the check and the backend do see",
		"ignore_path_parameters_in_path_matching: false"}
	connect = rule{"connect", Error, "%s makes a tunnel, whose content nobody judges", "remove it"}
	upgrade = rule{"upgrade", Error, "every route may be upgraded to %s", "enabled: false here, and enabled: true in upgrade_configs of the routes that need it"}
)

// One reading of a request.
var (
	normalizePath  = rule{"normalize-path", Error, "dot segments reach the route, the check and the backend, which may resolve them differently", "normalize_path: true"}
	mergeSlashes   = rule{"merge-slashes", Error, "a doubled slash makes a path that routes and backends read differently", "merge_slashes: true"}
	escapedSlashes = rule{"escaped-slashes", Error, "%2F and %5C are a slash to some backends and none to the route",
		"path_with_escaped_slashes_action: REJECT_REQUEST"}
	underscores = rule{"underscores", Error, "many backends read x_y as x-y, so a client can write a header that was stripped",
		"common_http_protocol_options: {headers_with_underscores_action: REJECT_REQUEST}"}
	remoteAddress = rule{"remote-address", Error, "the client's address is what the client says in x-forwarded-for", "use_remote_address: true"}
	stripHeaders  = rule{"strip-headers", Error, "clients may send headers that carry identity or that backends believe: %s",
		"early_header_mutation_extensions with remove_on_match: {key_matcher: {prefix: …}} for each"}
	scheme     = rule{"scheme", Error, ":scheme of HTTP/2 is the client's word", "scheme_header_transformation: {scheme_to_overwrite: https}"}
	clientCert = rule{"forwarded-client-cert", Error, "a client's own x-forwarded-client-cert header reaches the backend",
		"forward_client_cert_details: SANITIZE"}
	lenientHTTP1 = rule{"lenient-http1", Error, "two readers of one HTTP/1 message may find its end at two places: %s", "leave it off"}
	unseenRoutes = rule{"unseen-routes", Warning, "the routes are not in the text, so they were not looked at: %s", "examine a config dump of the running Envoy"}
)

// Transport and operation.
var (
	tlsVersion = rule{"tls-version", Error, "TLS older than 1.2 is accepted", "tls_minimum_protocol_version: TLSv1_2"}
	tlsSuites  = rule{"tls-suites", Error, "a TLS 1.2 suite is offered that RFC 9325 does not recommend: %s", "list ECDHE suites with GCM or CHACHA20 only"}
	xdsOpen    = rule{"xds-unauthenticated", Error, "the control plane's cluster %q is reached over TCP without a client certificate",
		"a unix socket, or TLS with tls_certificates in the cluster's transport_socket"}
	xdsUnverified = rule{"xds-unverified", Error, "whoever answers for the control plane's cluster %q is believed",
		"validation_context with trusted_ca and match_typed_subject_alt_names"}
	adminPublic = rule{"admin-public", Error, "the admin interface, which shows secrets and ends the process, is reachable from elsewhere",
		"admin: {address: {pipe: {path: …, mode: 384}}}"}
	oldEnvoy = rule{"old-envoy", Error, "Envoy %s lacks fixes for paths that are read in two ways", "run Envoy " + oldest + " or newer"}
	guardOff = rule{"guard-off", Error, "a fix of Envoy's is switched off: %s", "remove it from layered_runtime"}
	limits   = rule{"limits", Warning, "nothing bounds what strangers can hold open here: %s", "set each of them, in seconds; xds print shows the values of ours"}
)
