package doctor

import "testing"

const api = `"@type": type.googleapis.com/envoy.`

// after puts one more filter between the check and the router.
func after(config string) []change {
	router := `{name: r, typed_config: {` + api + `extensions.filters.http.router.v3.Router}}`
	return []change{{filters + ".2", `{name: x, typed_config: {` + config + `}}`}, {filters + "+", router}}
}

func TestCheck(t *testing.T) {
	run(t, []mutant{
		{"no check", one(filters, `[{name: r, typed_config: {`+api+`extensions.filters.http.router.v3.Router}}]`), "check-missing", "listener ingress, chain ingress", ""},
		{"fails open", one(check+".failure_mode_allow", "true"), "check-fails-open", "filter envoy.filters.http.ext_authz", ""},
		{"camel case", one(check+".failureModeAllow", "true"), "check-fails-open", "", ""},
		{"no status", one(check+".status_on_error", ""), "check-error-status", "", ""},
		{"a refusal's status", one(check+".status_on_error", "{code: 403}"), "check-error-status", "", ""},
		{"a status by name", one(check+".status_on_error", "{code: ServiceUnavailable}"), "", "", ""},
		{"joined headers", one(check+".encode_raw_headers", "false"), "check-raw-headers", "", ""},
		{"no mutation rules", one(check+".decoder_header_mutation_rules", ""), "check-mutation-rules", "", ""},
		{"empty mutation rules", one(check+".decoder_header_mutation_rules", "{allow_envoy: true}"), "check-mutation-rules", "", ""},
		{"no mutations at all", one(check+".decoder_header_mutation_rules", "{disallow_all: true}"), "", "", ""},
		{"mutations unchecked", one(check+".validate_mutations", ""), "check-validate-mutations", "", ""},
		{"route cache", one(check+".clear_route_cache", "true"), "check-route-cache", "", ""},
		{"off", one(filters+".1.disabled", "true"), "check-disabled", "", "disabled: true"},
		{"on for half", one(check+".filter_enabled", "{default_value: {numerator: 50}}"), "check-disabled", "", "filter_enabled"},
		{"on for all", one(check+".filter_enabled", "{default_value: {numerator: 1000000, denominator: MILLION}}"), "", "", ""},
		{"on for 100 of a million", one(check+".filter_enabled", "{default_value: {numerator: 100, denominator: MILLION}}"), "check-disabled", "", ""},
		{"by metadata", one(check+".filter_enabled_metadata", "{filter: a, path: [{key: a}], value: {present_match: true}}"), "check-disabled", "", "metadata"},
		{"off for a route", one(product+".typed_per_filter_config", `{envoy.filters.http.ext_authz: {`+api+`extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, disabled: true}}`),
			"check-disabled", "virtual host product.issues, route issues", ""},
		{"off for a host", one(issues+".typed_per_filter_config", `{envoy.filters.http.ext_authz: {`+api+`config.route.v3.FilterConfig, disabled: true}}`),
			"check-disabled", "virtual host product.issues", ""},
		{"off for all routes", one(routes+".typed_per_filter_config", `{envoy.filters.http.ext_authz: {`+api+`config.route.v3.FilterConfig, config: {`+
			api+`extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, disabled: true}}}`), "check-disabled", "", ""},
		{"told about a route", one(product+".typed_per_filter_config", `{envoy.filters.http.ext_authz: {`+api+
			`extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, check_settings: {context_extensions: {a: b}}}}`), "", "", ""},
		{"another filter off for a route", one(product+".typed_per_filter_config", `{envoy.filters.http.cors: {`+api+`config.route.v3.FilterConfig, disabled: true}}`), "", "", ""},
	})
}

func TestAroundTheCheck(t *testing.T) {
	const mutation = api + `extensions.filters.http.header_mutation.v3.HeaderMutation, mutations: `
	const lua = api + `extensions.filters.http.lua.v3.Lua, default_source_code: `
	run(t, []mutant{
		{"sets :path", after(mutation + `{request_mutations: [{append: {header: {key: ":Path", value: /}}}]}`), "filter-after-check", "filter x", ":path"},
		{"removes host", after(mutation + `{request_mutations: [{remove: host}]}`), "filter-after-check", "", "host"},
		{"sets another header", after(mutation + `{request_mutations: [{append: {header: {key: a, value: b}}}]}`), "", "", ""},
		{"sets :status", after(mutation + `{response_mutations: [{append: {header: {key: a, value: b}}}]}`), "", "", ""},
		{"a script for requests", after(lua + `{inline_string: "function envoy_on_request(h) end"}`), "filter-after-check", "", "script"},
		{"a script for answers", after(lua + `{inline_string: "function envoy_on_response(h) end"}`), "", "", ""},
		{"a script elsewhere", after(lua + `{filename: /a.lua}`), "filter-after-check", "", "elsewhere"},
		{"an old script", after(api + `extensions.filters.http.lua.v3.Lua, inline_code: "function envoy_on_request(h) end"`), "filter-after-check", "", ""},
		{"of a type that is compiled nowhere", after(`"@type": type.googleapis.com/acme.Filter`), "filter-unknown", "filter x", "acme.Filter"},
		{"in a struct", after(`"@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: type.googleapis.com/acme.Filter, value: {}`), "filter-unknown", "", "acme.Filter"},
		{"an external processor", after(api + `extensions.filters.http.ext_proc.v3.ExternalProcessor`), "filter-after-check", "", "ext_proc"},
		{"a rate limit", after(api + `extensions.filters.http.local_ratelimit.v3.LocalRateLimit, stat_prefix: a`), "", "", ""},
		{"that comes on its own", []change{{filters + "+", `{name: x, config_discovery: {type_urls: [a]}}`}}, "filter-unknown", "", "not in the text"},
		{"a script before", []change{{filters + ".0", `{name: x, typed_config: {` + lua + `{filename: /a.lua}}}`}}, "", "", ""},
		{"a cache before", []change{{filters + ".0", `{name: x, typed_config: {` + api + `extensions.filters.http.cache.v3.CacheConfig}}`}}, "filter-before-check", "", ""},
		{"a script of a route", one(product+".typed_per_filter_config", `{lua: {`+api+
			`extensions.filters.http.lua.v3.LuaPerRoute, source_code: {inline_string: "function envoy_on_request(h) end"}}}`), "filter-after-check", "route issues", ""},
		{"a mutation of a route", one(product+".typed_per_filter_config", `{m: {`+api+
			`extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute, mutations: {request_mutations: [{remove: ":method"}]}}}`), "filter-after-check", "route issues", ":method"},
		{"a check in a struct", one(check, `{"@type": type.googleapis.com/udpa.type.v1.TypedStruct, type_url: type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz,
			value: {failure_mode_allow: true, status_on_error: {code: 503}, encode_raw_headers: true, validate_mutations: true, decoder_header_mutation_rules: {disallow_system: true}}}`),
			"check-fails-open", "", ""},
		{"a script in a cluster", one("static_resources.clusters.2.typed_extension_protocol_options", `{a: {`+api+
			`extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http_protocol_options: {}}, http_filters: [{name: x, typed_config: {`+
			lua+`{inline_string: "function envoy_on_request(h) end"}}}]}}`), "filter-after-check", "cluster product.issues, filter x", ""},
	})
}

func TestRoutes(t *testing.T) {
	const deny = `{match: {prefix: /}, direct_response: {status: 403}}`
	tree := func(onNoMatch, inner string) []change {
		return []change{{issues + ".routes", ""}, {issues + ".matcher", `{matcher_tree: {input: {name: path, typed_config: {` + api +
			`type.matcher.v3.HttpRequestHeaderMatchInput, header_name: ":path"}}, prefix_match_map: {map: {/a: {action: {name: a, typed_config: {` + api +
			`config.route.v3.RouteList, routes: ` + inner + `}}}}}}` + onNoMatch + `}`}}
	}
	noMatch := `, on_no_match: {action: {name: a, typed_config: {` + api + `config.route.v3.Route, match: {prefix: /}, direct_response: {status: 403}}}}`
	run(t, []mutant{
		{"no catch-all", one(product+".match", "{prefix: /a}"), "no-catch-all", "virtual host product.issues", ""},
		{"a catch-all for some", one(product+".match", "{prefix: /, headers: [{name: a, present_match: true}]}"), "no-catch-all", "", ""},
		{"a catch-all for a fraction", one(product+".match", "{prefix: /, runtime_fraction: {default_value: {numerator: 1}}}"), "no-catch-all", "", ""},
		{"a catch-all by expression", one(product+".match", `{safe_regex: {regex: ".*"}}`), "", "", ""},
		{"no match at all", one(product+".match", `{}`), "no-catch-all", "", ""},
		{"no routes", one(issues+".routes", "[]"), "no-catch-all", "", ""},
		{"no host", one(routes+".virtual_hosts.2.domains", "[a.example]"), "no-host-catch-all", "routes ingress", ""},
		{"a tree", tree(noMatch, "["+deny+"]"), "", "", ""},
		{"a tree with an open list", tree(noMatch, `[{match: {path: /a}, direct_response: {status: 200}}]`), "no-catch-all", "", ""},
		{"an open tree", tree("", "["+deny+"]"), "no-catch-all", "", ""},
		{"path parameters", one(routes+".ignore_path_parameters_in_path_matching", "true"), "path-parameters", "routes ingress", ""},
		{"prefix", one(product+".route.prefix_rewrite", "/a"), "rewrite", "route issues", "prefix_rewrite"},
		{"expression", one(product+".route.regex_rewrite", "{pattern: {regex: a}, substitution: b}"), "rewrite", "", "regex_rewrite"},
		{"host", one(product+".route.host_rewrite_literal", "a.example"), "rewrite", "", "host_rewrite_literal"},
		{"automatic host", one(product+".route.auto_host_rewrite", "true"), "rewrite", "", "auto_host_rewrite"},
		{"an egress's host", []change{{product + ".route.host_rewrite_literal", "a.example"},
			{routes + ".virtual_hosts.0.routes.0.match.headers", "[{name: x-isolated-cloud-id, string_match: {exact: a}}]"}}, "", "", ""},
		{"an egress's host, from a header", []change{{product + ".route.host_rewrite", "'%REQ(a)%.a.example'"},
			{routes + ".virtual_hosts.0.routes.0.match.headers", "[{name: x-isolated-cloud-id, string_match: {exact: a}}]"}}, "", "", ""},
		{"host from a header", one(product+".route.host_rewrite", "'%REQ(a)%.a.example'"), "rewrite", "", "host_rewrite"},
		{"a gateway's host", []change{{product + ".route.host_rewrite_literal", "a.example"}, {callers, "true"}}, "", "", ""},
		{"a gateway's host, from a header", []change{{product + ".route.host_rewrite", "'%REQ(a)%'"}, {callers, "true"}}, "rewrite", "", "host_rewrite"},
		{"a gateway's host, where no certificate is needed", []change{{product + ".route.host_rewrite_literal", "a.example"}, {callers, "false"}}, "rewrite", "", ""},
		{"tunnel", []change{{issues + ".routes.0.match", "{connect_matcher: {}}"}}, "connect", "", "connect_matcher"},
		{"upgrade to a tunnel", one(product+".route.upgrade_configs", "[{upgrade_type: connect}]"), "connect", "", ""},
		{"tunnels everywhere", one(hcm+".upgrade_configs", "[{upgrade_type: CONNECT, enabled: false}]"), "connect", "chain ingress", ""},
		{"upgrades everywhere", one(hcm+".upgrade_configs", "[{upgrade_type: websocket}]"), "upgrade", "", "websocket"},
	})
}

func TestReading(t *testing.T) {
	early := hcm + ".early_header_mutation_extensions"
	run(t, []mutant{
		{"dot segments", one(hcm+".normalize_path", ""), "normalize-path", "chain ingress", ""},
		{"slashes", one(hcm+".merge_slashes", "false"), "merge-slashes", "", ""},
		{"escaped slashes", one(hcm+".path_with_escaped_slashes_action", "UNESCAPE_AND_FORWARD"), "escaped-slashes", "", "%2F and"},
		{"escaped slashes by number", one(hcm+".path_with_escaped_slashes_action", "2"), "", "", ""},
		{"underscores", one(hcm+".common_http_protocol_options.headers_with_underscores_action", ""), "underscores", "", ""},
		{"address", one(hcm+".use_remote_address", "false"), "remote-address", "", ""},
		{"scheme", one(hcm+".scheme_header_transformation", ""), "scheme", "", ""},
		{"certificate header", one(hcm+".forward_client_cert_details", "APPEND_FORWARD"), "forwarded-client-cert", "", ""},
		{"chunked length", one(hcm+".http_protocol_options", "{allow_chunked_length: true}"), "lenient-http1", "", "allow_chunked_length"},
		{"HTTP/1.0", one(hcm+".http_protocol_options", "{accept_http_10: true}"), "lenient-http1", "", "accept_http_10"},
		{"no stripping", one(early, ""), "strip-headers", "", "forwarded x-real-ip x-user-context x-isolated- "},
		{"one not stripped", one(early+".0.typed_config.mutations.2", "{remove: x-user-context-token}"), "strip-headers", "", ": x-user-context"},
		{"whole names", one(early+".0.typed_config.mutations.0", "{remove: Forwarded}"), "", "", ""},
		{"no identity stripped", one(early+".0.typed_config.mutations.3", "{remove: a}"), "strip-headers", "", ": x-isolated-"},
		{"no identity stripped at an egress", []change{{early + ".0.typed_config.mutations.3", "{remove: a}"},
			{issues + ".routes.0.match.headers", "[{name: X-Isolated-Cloud-Id, present_match: true}]"}}, "", "", ""},
		{"all stripped by one", one(early+".0.typed_config.mutations", `[{remove_on_match: {key_matcher: {prefix: x-}}}, {remove: forwarded}]`), "", "", ""},
	})
}

func TestOperation(t *testing.T) {
	ads := func(cluster string) []change {
		return []change{{"dynamic_resources", "{ads_config: {api_type: DELTA_GRPC, grpc_services: [{envoy_grpc: {cluster_name: xds}}]}}"}, {"static_resources.clusters+", cluster}}
	}
	const tcp = `{name: xds, load_assignment: {endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]}, `
	tls := func(common string) string {
		return tcp + `transport_socket: {name: tls, typed_config: {` + api + `extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: ` + common + `}}}`
	}
	const own, ca, names = `tls_certificates: [{}]`, `trusted_ca: {filename: a}`, `match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: a}}]`
	run(t, []mutant{
		{"old TLS", one(tlsOf+".tls_minimum_protocol_version", "TLSv1_1"), "tls-version", "chain ingress", ""},
		{"default TLS", one(tlsOf, ""), "", "", ""},
		{"weak suite", one(tlsOf+".cipher_suites", "[AES128-SHA]"), "tls-suites", "", "AES128-SHA"},
		{"suites of one rank", one(tlsOf+".cipher_suites", `["[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]"]`), "", "", ""},
		{"old TLS to a backend", one("static_resources.clusters.2.transport_socket", `{name: tls, typed_config: {`+api+
			`extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: {tls_params: {tls_minimum_protocol_version: TLSv1_0}}}}`), "tls-version", "cluster product.issues", ""},
		{"public admin", one("admin.address", "{socket_address: {address: 0.0.0.0, port_value: 1}}"), "admin-public", "bootstrap, admin", ""},
		{"local admin", one("admin.address", "{socket_address: {address: 127.0.0.1, port_value: 1}}"), "", "", ""},
		{"guard off", one("layered_runtime", "{layers: [{name: a, static_layer: {envoy.reloadable_features.http_reject_path_with_fragment: false}}]}"), "guard-off", "runtime layer a", "fragment"},
		{"guard on", one("layered_runtime", "{layers: [{name: a, static_layer: {envoy.reloadable_features.http_reject_path_with_fragment: true}}]}"), "", "", ""},
		{"no limit of connections", one("overload_manager", ""), "limits", "bootstrap", "connections"},
		{"no buffer limit", one(listener+".per_connection_buffer_limit_bytes", ""), "limits", "listener ingress", "buffer"},
		{"no header timeout", one(hcm+".request_headers_timeout", ""), "limits", "chain ingress", "request_headers_timeout"},
		{"no idle timeout", one(hcm+".stream_idle_timeout", "0s"), "limits", "", "stream_idle_timeout"},
		{"the usual idle timeout", one(hcm+".stream_idle_timeout", ""), "", "", ""},
		{"endless streams, any number", []change{{hcm + ".common_http_protocol_options.max_stream_duration", ""}, {hcm + ".http2_protocol_options.max_concurrent_streams", ""}},
			"limits", "", "max_stream_duration, http2_protocol_options.max_concurrent_streams"},
		{"xDS on a socket", ads(`{name: xds, load_assignment: {endpoints: [{lb_endpoints: [{endpoint: {address: {pipe: {path: /a}}}}]}]}}`), "", "", ""},
		{"xDS over TCP", ads(tcp + "}"), "xds-unauthenticated", "ads_config", `"xds"`},
		{"xDS of no cluster", ads(`{name: other}`), "xds-unauthenticated", "", `"xds"`},
		{"xDS without a certificate", ads(tls(`{validation_context: {` + ca + `, ` + names + `}}`)), "xds-unauthenticated", "", ""},
		{"xDS without an authority", ads(tls(`{` + own + `}`)), "xds-unverified", "", `"xds"`},
		{"xDS of anybody", ads(tls(`{` + own + `, validation_context: {` + ca + `}}`)), "xds-unverified", "", ""},
		{"xDS over mutual TLS", ads(tls(`{` + own + `, validation_context: {` + ca + `, ` + names + `}}`)), "", "", ""},
		{"xDS with secrets", ads(tls(`{tls_certificate_sds_secret_configs: [{name: a}], combined_validation_context: {default_validation_context: {` + names +
			`}, validation_context_sds_secret_config: {name: b}}}`)), "", "", ""},
		{"xDS by gRPC's own client", one("dynamic_resources", "{lds_config: {api_config_source: {api_type: GRPC, grpc_services: [{google_grpc: {target_uri: 'a:1', stat_prefix: a}}]}}}"),
			"xds-unauthenticated", "lds_config", "a:1"},
	})
}
