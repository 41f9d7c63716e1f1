package product

import (
	"net/http"
	"strings"
)

const issuePrefix = "/rest/api/issue/"

// Issue is one entry of the issue tracker. It names teams, not people: what is shown outside the isolated cloud should not need
// a rule to leave a person out.
type Issue struct {
	Key    string      `json:"key"`
	Fields IssueFields `json:"fields"`
}

// IssueFields is what an issue says.
type IssueFields struct {
	Summary  string `json:"summary"`
	Status   string `json:"status"`
	Priority string `json:"priority"`
	Team     string `json:"team"`
	Updated  string `json:"updated"` // RFC 3339
}

// issue finds a sample by its key.
func issue(key string) (Issue, bool) {
	samples := map[string]IssueFields{
		"OPS-1": {"Backups of the wiki take longer than a night", "open", "high", "platform", "2026-03-02T08:15:00Z"},
		"OPS-2": {"Renew the certificate of the build server", "done", "medium", "platform", "2026-03-04T13:40:00Z"},
		"PAY-7": {"Rounding differs between invoice and ledger", "in progress", "high", "finance", "2026-03-05T10:05:00Z"},
	}
	fields, ok := samples[key]
	return Issue{key, fields}, ok
}

// Comment is what was said on an issue, by a team.
type Comment struct {
	Team string `json:"team"`
	Text string `json:"text"`
	Said string `json:"said"` // RFC 3339
}

// comments are those of a sample.
func comments(key string) []Comment {
	samples := map[string][]Comment{
		"OPS-1": {
			{"platform", "Attachments are copied although nothing in them has changed.", "2026-03-02T09:30:00Z"},
			{"storage", "We can keep a list of what was copied last time.", "2026-03-02T14:10:00Z"},
		},
		"PAY-7": {{"finance", "The ledger rounds each line, the invoice rounds the sum.", "2026-03-05T11:20:00Z"}},
	}
	return append([]Comment{}, samples[key]...) // none is an empty list
}

// serveIssue answers /KEY with an issue, and /KEY/comments with what was said on it.
func serveIssue(w http.ResponseWriter, path string) {
	key, rest, deeper := strings.Cut(path, "/")
	found, ok := issue(key)
	switch {
	case !ok || deeper && rest != "comments":
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "no such issue"})
	case deeper:
		writeJSON(w, http.StatusOK, map[string][]Comment{"comments": comments(key)})
	default:
		writeJSON(w, http.StatusOK, found)
	}
}
