# Who passes the ingress of this isolated cloud.
#
# A signed-in person reaches every product, unless `forbidden` holds a word against the request.
# Anybody else reaches the endpoints of `anonymous` and nothing more.
package isogate.ingress

# Endpoints that need no sign-in. Product, method and path must match exactly, the query does not
# count. `purpose`, `owner` and `expires` (the last day, YYYY-MM-DD) may be left out.
anonymous["issues.health"] := {
	"product": "issues",
	"method": "GET",
	"path": "/health",
	"purpose": "load balancer probe",
	"owner": "team-issues",
}

# The list stays defined when its last entry is removed.
anonymous["none"] := {} if false

# Words against a request, each with its rule. The log shows the word, so it must be written out
# and not computed. To narrow who reaches what, add a rule here:
#
#	forbidden contains "payroll-needs-hr" if {
#		input.product == "payroll"
#		not "hr" in input.user.groups
#	}
#
#	forbidden contains "admin-from-office-only" if {
#		startswith(input.path, "/admin")
#		not net.cidr_contains("10.0.0.0/8", input.address)
#	}
#
# input has: product, method, path, address, user.provider, user.groups, user.acr, user.amr.
# All are always there, and a name that is not in this list does not compile.
forbidden contains "nothing" if false

decision := {"allow": true, "reason": "signed-in"} if count(forbidden) == 0

decision := {"allow": false, "reason": min(forbidden)} if count(forbidden) > 0
