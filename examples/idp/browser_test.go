package idp

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// browser is a person's browser: it keeps cookies, follows redirects up to the relying party, and fills forms.
type browser struct {
	t      *testing.T
	client *http.Client
}

// page is where the browser came to rest: a page of the provider, or a redirect to the relying party that was not followed.
type page struct {
	status  int
	url     *url.URL // of the page
	answer  *url.URL // where the relying party was called; nil on a page
	header  http.Header
	text    string
	inputs  map[string]string // all inputs by name
	visible []string
	labels  map[string]bool // input ids that have a label
	action  string
	submits int
}

func newBrowser(t *testing.T, transport http.RoundTripper) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == rpHost {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

func (b *browser) open(address string) page {
	b.t.Helper()
	res, err := b.client.Get(address)
	return b.read(res, err)
}

// submit fills the page's form, hidden inputs included, and sends it.
func (b *browser) submit(p page, fill map[string]string) page {
	b.t.Helper()
	if p.submits == 0 {
		b.t.Fatalf("no form to submit on %q", p.text)
	}
	values := url.Values{}
	for name, value := range p.inputs {
		values.Set(name, value)
	}
	for name, value := range fill {
		if _, ok := p.inputs[name]; !ok {
			b.t.Fatalf("the form has no input %q: %v", name, p.inputs)
		}
		values.Set(name, value)
	}
	res, err := b.client.PostForm(p.url.ResolveReference(&url.URL{Path: p.action}).String(), values)
	return b.read(res, err)
}

func (b *browser) read(res *http.Response, err error) page {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	p := page{status: res.StatusCode, url: res.Request.URL, header: res.Header, text: string(body),
		inputs: map[string]string{}, labels: map[string]bool{}}
	if res.StatusCode/100 == 3 {
		if p.answer, err = res.Location(); err != nil {
			b.t.Fatal(err)
		}
	}
	doc, err := html.Parse(strings.NewReader(p.text))
	if err != nil {
		b.t.Fatal(err)
	}
	for n := range doc.Descendants() {
		p.note(n)
	}
	return p
}

func (p *page) note(n *html.Node) {
	attr := map[string]string{}
	for _, a := range n.Attr {
		attr[a.Key] = a.Val
	}
	switch n.Data {
	case "form":
		p.action = attr["action"]
	case "label":
		p.labels[attr["for"]] = true
	case "button":
		if attr["type"] == "submit" {
			p.submits++
		}
	case "input":
		p.inputs[attr["name"]] = attr["value"]
		if attr["type"] != "hidden" {
			p.visible = append(p.visible, attr["id"])
		}
	}
}
