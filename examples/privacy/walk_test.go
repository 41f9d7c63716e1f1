package privacy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"isogate/examples/world"
)

// known is what the isolated cloud calls somebody, and what the commercial side does.
type known struct {
	user, session, handle string            // inside
	services              map[string]string // by the service's id
}

// walkFederation goes the whole way as each of the organisation's people: two services, a product, a renewed session, the sign-out, and again.
func (s *stage) walkFederation(t *testing.T) (found []known) {
	for _, p := range s.people[:2] {
		b := s.Browser()
		k := known{services: map[string]string{}}
		deep := "/case/7?note=" + s.stray.at("target")
		page := s.federate(t, b, p, s.at("support", deep))
		if e := echo(t, page); e.Target != deep {
			t.Errorf("landed on %s", e.Target)
		}
		k.services["support"] = echo(t, page).User
		k.services["market"] = echo(t, must(t)(b.Open(s.at("market", "/whoami")))).User
		time.Sleep(checkEvery + 100*time.Millisecond) // so that the isolated cloud is asked
		if e := echo(t, must(t)(b.Open(s.at("support", "/whoami")))); e.User != k.services["support"] {
			t.Errorf("%s became %q", p.Username, e.User)
		}
		s.inside(t, b, p, &k)
		found = append(found, k)
		want(t, "the sign-out", must(t)(b.Press(must(t)(b.Open(s.at("support", "/.isogate/logout"))), "Sign out", nil)), 200)
		want(t, "signing in again", s.federate(t, b, p, s.at("support", "/whoami")), 200)
		k.services = nil
		s.inside(t, b, p, &k)
		found = append(found, k)
	}
	return found
}

// inside learns what a product is told of somebody.
func (s *stage) inside(t *testing.T, b *world.Browser, p person, k *known) {
	t.Helper()
	page := must(t)(b.Open(s.URL("issues", "/whoami")))
	var said struct {
		Claims struct{ Sub, SID, Name, Email string }
	}
	if err := json.Unmarshal([]byte(page.Body), &said); err != nil || said.Claims.Name != p.Name || said.Claims.Email != p.Email {
		t.Fatalf("the product (%d): %v, %.300s", page.Status, err, page.Body)
	}
	k.user, k.session, k.handle = said.Claims.Sub, said.Claims.SID, b.Cookies(s.URL("issues", "/"))["__Host-isogate_session"]
}

func (k known) canaries() []Canary {
	return []Canary{{"user id inside", k.user}, {"session id inside", k.session}, {"session handle inside", k.handle}}
}

// walkForms types addresses well and badly.
func (s *stage) walkForms(t *testing.T) {
	p, b := s.people[0], s.Browser()
	local, domain, _ := strings.Cut(p.Email, "@")
	const again, unknown, cloud, either = 422, 200, 200, 0
	for email, status := range map[string]int{
		p.Email: cloud, strings.ToUpper(p.Email): cloud, "  " + p.Email + " ": either, local + "+tag@" + domain: cloud,
		local + "@unknown.example": unknown, local + "@sub." + domain: unknown, s.people[2].Email: unknown, local + "@" + local + ".example": unknown,
		p.Name + " <" + p.Email + ">": again, local: again, local + "@": again, p.Email + "," + p.Email: again, p.Email + "\r\nx: y": again, p.Email + "\x00": again,
		`"><b>` + p.Email: again, local + "@[127.0.0.1]": again, strings.Repeat(local, 20) + "@" + domain: again, local + "\xff@" + domain: again, p.Name: again,
	} {
		page := s.lookup(t, b, email)
		if status == either {
			status = page.Status
		}
		want(t, fmt.Sprintf("the form with %q", email), page, status)
	}
	page := s.lookup(t, b, p.Email)
	trap := must(t)(b.Press(page, standard, nil))
	want(t, "the standard option for a managed domain", trap, 403)
	want(t, "the standard option", must(t)(b.Press(s.lookup(t, b, local+"@unknown.example"), standard, nil)), 200)
	want(t, "an option of one's own", must(t)(b.Press(page, standard, map[string]string{"standard": "none", "cloud": "", "email": p.Email})), 400)
	for what, body := range map[string]string{
		"twice":            "email=" + p.Email + "&email=" + p.Email,
		"no form":          "%zz" + p.Email,
		"JSON":             `{"email":"` + p.Email + `"}`,
		"too long":         "email=" + strings.Repeat(p.Email+"+", 50_000),
		"in another field": "flow=" + p.Email, "as a cloud": "standard=x&cloud=" + p.Email,
	} {
		a := must(t)(b.Do("POST", s.at("id", "/.isogate/signin"), world.Navigation, ownForm(s.at("id", "")), body))
		if a.Status < 400 {
			t.Errorf("a form %s: %d", what, a.Status)
		}
	}
	for what, header := range map[string]map[string]string{
		"of another site": {"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
		"of no site":      {"Content-Type": "application/x-www-form-urlencoded"},
		"in JSON":         {"Content-Type": "application/json", "Origin": s.at("id", ""), "Sec-Fetch-Site": "same-origin"},
	} {
		if a := must(t)(b.Do("POST", s.at("id", "/.isogate/signin"), nil, header, "email="+p.Email)); a.Status < 400 {
			t.Errorf("a form %s: %d", what, a.Status)
		}
	}
}

// walkRefusals has people who do not get in: who cancels, and who is of no managed domain.
func (s *stage) walkRefusals(t *testing.T) {
	b := s.Browser()
	page := must(t)(b.Press(s.lookup(t, b, s.people[0].Email), toAcme, nil))
	page = must(t)(b.Authenticate(s.people[0].User, page))
	want(t, "cancelled", must(t)(b.Press(page, "Cancel", nil)), 403)

	b, erin := s.Browser(), s.people[2]
	page = must(t)(b.Press(s.lookup(t, b, "x@acme.example"), toAcme, nil))
	page = must(t)(b.Authenticate(erin.User, page))
	want(t, "of no managed domain", page, 403)
	want(t, "back outside", must(t)(b.Press(page, "Go back", nil)), 403)
	var k known
	s.inside(t, b, erin, &k)
	want(t, "at the standard tenant", must(t)(s.member(t, s.people[0]).Open(s.at("tenant", "/"))), 403)
}
