package signin

import (
	"context"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// jar holds cookies by host, which is how browsers hold those with the prefix __Host-.
type jar map[string]map[string]string

func (j jar) clone() jar {
	other := jar{}
	for host, cookies := range j {
		other[host] = maps.Clone(cookies)
	}
	return other
}

// response is what a browser is shown, or where it is led.
type response struct {
	status   int
	location string
	header   http.Header
	body     string
}

// send is a navigation, or a form if there is one, to a door.
func (j jar) send(ctx context.Context, door http.Handler, method, address string, form url.Values) response {
	r := httptest.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	r.Header.Set("sec-fetch-mode", "navigate")
	r.Header.Set("sec-fetch-dest", "document")
	if form != nil {
		r.Header.Set("content-type", "application/x-www-form-urlencoded")
	}
	for name, value := range j[r.Host] {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	door.ServeHTTP(w, r)
	j.keep(r.Host, w.Result().Cookies())
	return response{status: w.Code, location: w.Header().Get("location"), header: w.Header(), body: w.Body.String()}
}

func (j jar) keep(host string, cookies []*http.Cookie) {
	if j[host] == nil {
		j[host] = map[string]string{}
	}
	for _, c := range cookies {
		j[host][c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(j[host], c.Name)
		}
	}
}

// led is the address that a response leads to, by a redirect or by a page that leads on.
func (r response) led(t *testing.T) *url.URL {
	t.Helper()
	target := r.location
	if target == "" {
		target = found(r.body, `http-equiv="refresh" content="0;url=([^"]*)"`)
	}
	address, err := url.Parse(target)
	if err != nil || target == "" {
		t.Fatalf("leads nowhere: %d %s", r.status, r.reason())
	}
	return address
}

// reason is the word that a page gives for a refusal.
func (r response) reason() string { return found(r.body, `Reason: ([a-z-]+)`) }

// found is the first group of a pattern in a page, as a browser reads it.
func found(body, pattern string) string {
	match := regexp.MustCompile(pattern).FindStringSubmatch(body)
	if match == nil {
		return ""
	}
	return html.UnescapeString(match[1])
}
