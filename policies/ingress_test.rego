# These tests hold whatever entries and rules are added or removed, so that one edit is enough.
package isogate.ingress_test

import data.isogate.ingress

person := {
	"product": "issues",
	"method": "GET",
	"path": "/",
	"address": "192.0.2.1",
	"user": {"provider": "corp", "groups": ["staff"], "acr": "mfa", "amr": ["otp"]},
}

test_a_signed_in_person_passes if {
	decision := ingress.decision with input as person with ingress.forbidden as set()
	decision == {"allow": true, "reason": "signed-in"}
}

test_one_word_is_enough_to_refuse if {
	decision := ingress.decision with input as person with ingress.forbidden as {"closed"}
	decision == {"allow": false, "reason": "closed"}
}

test_several_words_give_one_reason if {
	decision := ingress.decision with input as person with ingress.forbidden as {"b", "c", "a"}
	decision == {"allow": false, "reason": "a"}
}

test_there_is_a_decision_for_everybody if {
	nobody := {"provider": "", "groups": [], "acr": "", "amr": []}
	every product in {"", "issues", "unheard-of"} {
		request := object.union(person, {"product": product, "user": nobody})
		is_boolean(ingress.decision.allow) with input as request
	}
}

test_probes_only_read if {
	probes := [entry | some id, entry in ingress.anonymous; endswith(id, ".health")]
	every probe in probes {
		probe.method in {"GET", "HEAD"}
	}
}

test_nothing_anonymous_leads_to_our_own_paths if {
	every entry in ingress.anonymous {
		not startswith(entry.path, "/.isogate")
		not startswith(entry.path, "/oauth2")
	}
}
