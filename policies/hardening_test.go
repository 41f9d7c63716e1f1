package policies

import "testing"

// A rule cannot look at a body: the ingress keeps none for it, and an absent, a partial, an invalid and a complete one are four states that a
// rule would mistake for each other (opa#3566, opa#5081). So a policy that reads one does not load, instead of finding it undefined and never
// refusing anything. Rules about bodies are a matter of the gateway's endpoints, which do not exist yet; the four states get their tests
// with them. (A name that a rule computes escapes the type checker; what it finds is undefined, as there is no body behind any name.)
func TestABodyIsNoInput(t *testing.T) {
	for _, rule := range []string{
		`x if input.body.amount > 100`, `x if input.parsed_body`, `x if input.attributes.request.http.body == ""`, `x if input.truncated_body`,
		`x if input["body"]`, `x if not input.body`, `x if object.get(input.body, "a", 1) == 1`,
	} {
		refused(t, dirOf(t, files{"a.rego": valid + rule + "\n"}), "a.rego:5")
	}
}

// No name, address of a person, cookie, header or query is an input either: a rule can neither single out somebody nor write them into the
// decision record (opa#3141), and no header can open a path.
func TestNothingPersonalAndNoHeaderIsInput(t *testing.T) {
	for _, field := range []string{
		"user.email", "user.name", "user.sub", "user.id", "headers", "headers.authorization", "cookies", "query", "raw_path", "host", "session", "time", "env", "token",
	} {
		refused(t, dirOf(t, files{"a.rego": valid + "x if input." + field + " == \"\"\n"}), "a.rego:5", "undefined ref")
	}
}
