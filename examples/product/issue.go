package product

import "net/http"

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

func serveIssue(w http.ResponseWriter, key string) {
	found, ok := issue(key)
	if !ok {
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "no such issue"})
		return
	}
	writeJSON(w, http.StatusOK, found)
}
