package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
)

var (
	//go:embed style.css
	style string
	//go:embed page.html
	source string

	layout = template.Must(template.New("page").Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(style) },
	}).Parse(source))

	policy = pagePolicy(style)
)

// view is what the one layout shows. Every page has a title and a text; the
// rest is shown where it is set.
type view struct {
	Status  int
	Icon    string // lock, clock, check, arrow or stop
	Title   string
	Text    string
	Note    string   // a host name, or a service's
	Choices []Choice // several links of equal weight
	Action  *Choice  // the one thing to do next
	Facts   []Fact
	Forms   []form
	Plain   bool    // the page's own address holds no secret: our own host may be told it
	Back    *Choice // below the forms: the way out of them
	Refresh string  // where the page leads by itself
	Word    string  // the reason
}

// form posts what it holds to a path on the same host.
type form struct {
	Lead    string // above it, where it is not the only one
	Alert   string // what was wrong with what was sent before
	Post    string // the path
	Inputs  []Input
	Buttons []button
}

// button sends the form. One with a name says by it which of several was
// selected; the first is also what the Enter key means.
type button struct {
	Label, Name, Value string
	Secondary          bool // not what most people want
}

// answer renders the page. The layout is fixed and every value is a string, so
// executing it does not fail; if it did, half a page would not be sent.
func (v view) answer() Answer {
	var body bytes.Buffer
	if err := layout.Execute(&body, v); err != nil {
		return Denial(http.StatusServiceUnavailable, "unavailable", false, "")
	}
	referrer := noReferrer
	if v.Plain {
		referrer = formReferrer
	}
	return answer(v.Status, "text/html; charset=utf-8", policy, referrer, body.Bytes())
}

// pagePolicy allows nothing but the one inline stylesheet, by its hash (CSP
// Level 3, section 2.3.1), and forms that post to the page's own host.
func pagePolicy(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}
