# Which calls of commercial services pass the gateway of this isolated cloud.
#
# A service reaches the endpoints below, each for the callers that it lists, unless `forbidden`
# holds a word against the call. Whatever is not listed does not exist at the gateway.
package isogate.gateway

# Product, method and path must match; {name} stands for one segment of the path without ";", "?"
# and "#", escaped or not. Only the query parameters of `query` pass, a body only where `body` is
# "opaque" instead of "none".
# `query`, `purpose`, `owner` and `expires` (the last day, YYYY-MM-DD) may be left out.
endpoints["issue.read"] := {
	"product": "issues",
	"method": "GET",
	"path": "/rest/api/issue/{key}",
	"query": ["fields"],
	"body": "none",
	"callers": ["spiffe://commercial.example/support"],
	"purpose": "show a ticket's issue in the Support Centre",
	"owner": "team-support",
}

# To shut everything, or all calls of one service, one OAuth client or one cloud, add a line:
#
#	closed contains "gateway"
#	closed contains {"caller": "spiffe://commercial.example/support"}
#	closed contains {"client": "commercial"}
#	closed contains {"cloud": "c-7f3a"}
closed contains "nothing" if false

# Words against a call, each with its rule. The log shows the word, so it must be written out and
# not computed. To narrow who reaches what, add a rule here:
#
#	forbidden contains "no-contractors" if {
#		endpoints[input.endpoint].owner == "team-payroll"
#		"contractors" in input.user.groups
#	}
#
#	forbidden contains "second-factor" if {
#		input.method != "GET"
#		input.user.acr != "mfa"
#	}
#
# input has: endpoint (its id), product, method, path, query (names), caller, client, cloud,
# user.provider, user.groups, user.acr, user.amr. All are always there, and a name that is not in
# this list does not compile.
forbidden contains "closed" if {
	some shut in closed
	shut in {"gateway", {"caller": input.caller}, {"client": input.client}, {"cloud": input.cloud}}
}

decision := {"allow": true, "reason": "exposed"} if count(forbidden) == 0

decision := {"allow": false, "reason": min(forbidden)} if count(forbidden) > 0
