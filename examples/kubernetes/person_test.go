package kubernetes

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// person is somebody outside, with a browser: it keeps cookies, follows where it is led, and fills in forms.
type person struct{ client *http.Client }

// shown is a page.
type shown struct {
	status int
	url    *url.URL
	body   string
}

func newPerson(c *cluster) *person {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.web.pem)
	jar, _ := cookiejar.New(nil) // it cannot fail without options
	dial := func(_ context.Context, _, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil || publicNames[host] == "" {
			return nil, fmt.Errorf("nobody knows %s", address)
		}
		return c.outside.dial(net.JoinHostPort(publicNames[host], port))
	}
	return &person{&http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DialContext: dial, ForceAttemptHTTP2: true,
	}}}
}

func (p *person) open(address string) (shown, error) { return p.send(http.MethodGet, address, "", nil) }

var refresh = regexp.MustCompile(`<meta http-equiv="refresh" content="0;url=([^"]*)">`)

func (p *person) send(method, address, origin string, form url.Values) (shown, error) {
	request, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return shown{}, err
	}
	request.Header = http.Header{
		"Accept": {"text/html,*/*;q=0.8"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"none"},
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", origin)
		request.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return shown{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	page := shown{answer.StatusCode, answer.Request.URL, string(body)}
	if next := refresh.FindStringSubmatch(page.body); err == nil && next != nil {
		target, err := page.url.Parse(html.UnescapeString(next[1]))
		if err != nil {
			return page, err
		}
		return p.open(target.String())
	}
	return page, err
}

// press sends the first form that has a button of this label, or any button for "", with these values.
func (p *person) press(page shown, label string, values map[string]string) (shown, error) {
	tree, err := html.Parse(strings.NewReader(page.body))
	if err != nil {
		return page, err
	}
	for node := range tree.Descendants() {
		if node.Data != "form" {
			continue
		}
		fields, labels := fieldsOf(node)
		if label != "" && !slices.Contains(labels, label) {
			continue
		}
		for name, value := range values {
			fields.Set(name, value)
		}
		target, err := page.url.Parse(attribute(node, "action"))
		if err != nil {
			return page, err
		}
		return p.send(http.MethodPost, target.String(), page.url.Scheme+"://"+page.url.Host, fields)
	}
	return page, fmt.Errorf("no button %q at %s (%d):\n%.800s", label, page.url, page.status, page.body)
}

// fieldsOf are what a form sends, its buttons' values among them, and what is written on these.
func fieldsOf(form *html.Node) (url.Values, []string) {
	fields, labels := url.Values{}, []string{}
	for node := range form.Descendants() {
		name := attribute(node, "name")
		switch {
		case node.Data == "button" && node.FirstChild != nil:
			labels = append(labels, strings.TrimSpace(node.FirstChild.Data))
			fallthrough
		case node.Data == "input":
			if name != "" && !fields.Has(name) {
				fields.Set(name, attribute(node, "value"))
			}
		}
	}
	return fields, labels
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
