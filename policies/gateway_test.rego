# These tests hold whatever entries and rules are added or removed, so that one edit is enough.
package isogate.gateway_test

import data.isogate.gateway

call := {
	"endpoint": "issue.read",
	"product": "issues",
	"method": "GET",
	"path": "/rest/api/issue/ABC-1",
	"query": ["fields"],
	"caller": "spiffe://commercial.example/support",
	"client": "commercial",
	"cloud": "c-7f3a",
	"user": {"provider": "corp", "groups": ["staff"], "acr": "mfa", "amr": ["otp"]},
}

test_an_exposed_endpoint_is_reached if {
	decision := gateway.decision with input as call with gateway.forbidden as set()
	decision == {"allow": true, "reason": "exposed"}
}

test_several_words_give_one_reason if {
	decision := gateway.decision with input as call with gateway.forbidden as {"b", "c", "a"}
	decision == {"allow": false, "reason": "a"}
}

test_one_line_closes[name] if {
	some name, line in {
		"the gateway": "gateway",
		"a caller": {"caller": call.caller},
		"a client": {"client": call.client},
		"a cloud": {"cloud": call.cloud},
	}
	words := gateway.forbidden with input as call with gateway.closed as {line}
	"closed" in words
}

test_another_line_does_not_close[name] if {
	some name, line in {
		"a caller": {"caller": "spiffe://commercial.example/billing"},
		"a client": {"client": "another"},
		"a client of a caller's name": {"client": call.caller},
		"a cloud": {"cloud": "another"},
	}
	words := gateway.forbidden with input as call with gateway.closed as {line}
	not "closed" in words
}

test_there_is_a_decision_for_everybody if {
	nobody := {"provider": "", "groups": [], "acr": "", "amr": []}
	every id in {"", "issue.read", "unheard-of"} {
		request := object.union(call, {"endpoint": id, "user": nobody, "caller": "", "client": "", "cloud": ""})
		is_boolean(gateway.decision.allow) with input as request
	}
}

test_nothing_exposed_leads_to_our_own_paths if {
	every entry in gateway.endpoints {
		not startswith(entry.path, "/.isogate")
		not startswith(entry.path, "/oauth2")
	}
}
