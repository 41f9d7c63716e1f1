package profile

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"isogate/extauthz/check"
	"isogate/extauthz/keys"
	"isogate/extauthz/session"
)

// CVE-2024-47616: every other kind of token, cookie and sealed value, in the place of the cookie, is nobody's.
func TestNothingElsePassesForASession(t *testing.T) {
	s := newSide(t)
	o := s.outside()
	good := must(s.sealed.Seal(supportHost, o))(t)
	signers := must(keys.OpenSigners(t.TempDir(), s.clock))(t)
	token := func(typ string) string {
		return must(signers.Sign(typ, must(json.Marshal(map[string]any{
			"iss": "https://auth." + acmeID + ".example", "sub": o.Subject, "aud": "commercial", "sid": o.Grant, "isolated_cloud_id": o.Cloud,
			"iat": start.Unix(), "exp": start.Add(time.Hour).Unix(), "session_expiry": start.Add(time.Hour).Unix(),
		}))(t)))(t)
	}
	inside := must(s.sealers.Open("federated", supportHost, good))(t)
	flow := must(s.Federated.flows.Seal.Open("flow", identityHost, s.flowOf(supportHost)))(t)
	values := map[string]string{
		"ID token": token("JWT"), "access token": token("at+jwt"), "User Context Token": token("uct+jwt"), "logout token": token("logout+jwt"),
		"the access token of the session": o.Token, "its grant": o.Grant, "its subject": o.Subject,
		"a session handle": strings.TrimPrefix(forged, session.SessionCookie+"="), "a flow's secret": session.NewFlowCookie(start).Secret, "a flow": s.flowOf(supportHost),
		"another service's cookie": must(s.sealed.Seal(statusHost, o))(t), "the identity host's cookie": must(s.sealed.Seal(identityHost, o))(t),
		"sealed with the flows' keys": s.flows.Seal("federated", supportHost, inside), "a flow, sealed with our keys": s.sealers.Seal("federated", supportHost, flow),
		"what is inside": base64.RawURLEncoding.EncodeToString(inside), "JSON": `{"cloud":"` + acmeID + `"}`, "sealed JSON": s.sealers.Seal("federated", supportHost, must(json.Marshal(map[string]any{"cloud": acmeID}))(t)),
		"padded": good + "=", "quoted": `"` + good + `"`, "upper case": strings.ToUpper(good), "twice": good + good, "cut": good[:len(good)-2],
	}
	for _, purpose := range []string{"flow", "state", "ticket", "id_token", "leave", "token", "session", ""} {
		values["sealed as "+purpose] = s.sealers.Seal(purpose, supportHost, inside)
		values["sealed as "+purpose+" with the flows' keys"] = s.flows.Seal(purpose, supportHost, inside)
	}
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			s.t = t
			s.expect(to(supportHost, "GET", "/x", "cookie", session.OutsideCookie+"="+value), deny(401, check.Unauthenticated))
			s.expect(to(payrollHost, "GET", "/x", "cookie", session.OutsideCookie+"="+value), deny(401, check.Unauthenticated))
		})
	}
	s.t = t
	for name, line := range map[string][]string{
		"under the other side's name": {"cookie", session.SessionCookie + "=" + good}, "under its name in another case": {"cookie", "__host-isogate_federated=" + good},
		"under no prefix": {"cookie", "isogate_federated=" + good}, "as bearer": {"authorization", "Bearer " + good}, "as our header": {"x-isolated-cloud-token", good},
	} {
		t.Log(name)
		s.expect(to(supportHost, "GET", "/x", line...), deny(401, check.Unauthenticated))
	}
	for i := range good {
		spoiled := []byte(good)
		spoiled[i] ^= 1
		s.expect(to(supportHost, "GET", "/x", "cookie", session.OutsideCookie+"="+string(spoiled)), deny(401, check.Unauthenticated))
	}
	s.clouds.expects(t, 0, "nothing that we did not seal")
	s.expect(to(supportHost, "GET", "/x", "cookie", session.OutsideCookie+"="+good), pass(check.Session))
}

// flowOf is the sealed flow of a navigation to a host.
func (s *side) flowOf(host string) string {
	s.t.Helper()
	_, sealed, _ := strings.Cut(answered(s.expect(to(host, "GET", "/x", navigation...), deny(302, check.SignIn)), "location")[0], "?flow=")
	return sealed
}

// CVE-2024-45806, CVE-2025-64484: an identity that a client claims is removed in every spelling that a framework folds into ours.
func TestClaimedIdentitiesAreRemovedOutsideToo(t *testing.T) {
	s := newSide(t)
	claimed := []string{
		"x-isolated-cloud-id", "x-isolated-cloud-user", "x-isolated-cloud-token", "x_isolated_cloud_id", "x-isolated_cloud-user", "x.isolated.cloud.user", "x~isolated~cloud~id",
		"x-user-context-token", "x_user_context_token", "x-isogate-service", "x_isogate",
	}
	in := to(supportHost, "GET", "/x", "cookie", "a=1; "+s.cookie(supportHost, s.outside()), "cookie", "__Host-isogate_flow_1=x; b=2")
	for _, name := range append(claimed, "x-user", "accept") {
		in = with(in, name, "admin", name, "root")
	}
	v := s.expect(in, pass(check.Session))
	want := []field{
		{"cookie", "a=1; b=2"}, {"x-isolated-cloud-id", acmeID}, {"x-isolated-cloud-user", session.ServiceUserID(serviceUsers, "support", acmeID, "subject-at-acme")},
	}
	var got []field
	for _, f := range v.Set {
		got = append(got, field{f.Name, f.Value})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, name := range claimed {
		if ours := name == HeaderCloud || name == HeaderUser; slices.Contains(v.Remove, name) == ours { // Envoy removes after it sets
			t.Errorf("%s: removed: %v", name, !ours)
		}
	}
	if len(v.Remove) != len(claimed)-2 {
		t.Errorf("removed %q", v.Remove)
	}
	alone := s.expect(to(supportHost, "GET", "/x", "cookie", s.cookie(supportHost, s.outside())), pass(check.Session))
	if !slices.Contains(alone.Remove, "cookie") || set(alone, "cookie") != "" {
		t.Error("our cookie reaches the service")
	}
}

// field is a header line.
type field struct{ Name, Value string }

func TestNoHeaderOpensAnythingOutside(t *testing.T) {
	s := newSide(t)
	mine := s.cookie(supportHost, s.outside())
	for _, spoof := range spoofs {
		s.expect(to(supportHost, "GET", "/secret", spoof...), deny(401, check.Unauthenticated))
		s.expect(with(to(supportHost, "POST", "/x", "cookie", mine, "origin", "https://evil.example"), spoof...), deny(403, check.CrossOrigin))
		s.expect(with(to(payrollHost, "GET", "/x", "cookie", s.cookie(payrollHost, s.outside())), spoof...), deny(403, check.Federation))
		s.expect(to("evil.example", "GET", "/x", spoof...), deny(421, check.Misdirected))
		s.expect(to(identityHost, "GET", "/secret", spoof...), deny(404, check.NotFound))
		v := s.expect(with(to(supportHost, "GET", "/x", "cookie", mine), spoof...), pass(check.Session))
		if set(v, HeaderCloud) != acmeID || set(v, HeaderUser) != session.ServiceUserID(serviceUsers, "support", acmeID, "subject-at-acme") {
			t.Errorf("%q changes who somebody is", spoof)
		}
	}
}

// No two services, and no two clouds, can compare their people; one service knows its own again, whatever session they come with.
func TestEachServiceKnowsAPersonByAnIDOfItsOwn(t *testing.T) {
	s := newSide(t)
	user := func(host, cloud, subject, grant string) string {
		o := s.outside()
		o.Cloud, o.Subject, o.Grant = cloud, subject, grant
		v := s.expect(to(host, "GET", "/x", "cookie", s.cookie(host, o)), pass(check.Session))
		if set(v, HeaderCloud) != cloud {
			t.Errorf("the cloud is %q", set(v, HeaderCloud))
		}
		return set(v, HeaderUser)
	}
	seen := map[string]string{}
	for _, host := range []string{supportHost, statusHost} {
		for _, cloud := range []string{acmeID, globexID} {
			for _, subject := range []string{"ada", "bob"} {
				id := user(host, cloud, subject, "g1")
				if raw, err := base64.RawURLEncoding.DecodeString(id); err != nil || len(raw) != 16 {
					t.Errorf("%q is not 128 bits", id)
				}
				who := strings.Join([]string{host, cloud, subject}, " ")
				if other, twice := seen[id]; twice {
					t.Errorf("%s and %s are one", who, other)
				}
				seen[id] = who
				s.now = s.now.Add(time.Hour)
				if again := user(host, cloud, subject, "g2"); again != id {
					t.Errorf("%s is another person in the next session", who)
				}
			}
		}
	}
	// It is written into services' records: nobody may change how it is made.
	if got, want := session.ServiceUserID([]byte("key"), "support", "acme", "sub"), "ybNEI36cL-cNF23mo_YzoA"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if session.ServiceUserID([]byte("key"), "ab", "c", "d") == session.ServiceUserID([]byte("key"), "a", "bc", "d") {
		t.Error("the parts run into one another")
	}
}

// Neither what goes to a service nor what is logged or answered holds what the cookie seals, but for the cloud's id.
func TestAVerdictShowsNothingOfTheSession(t *testing.T) {
	s := newSide(t)
	o := s.outside()
	look := func(what string, v check.Verdict) {
		t.Helper()
		answer, said := check.Encode(v)
		for _, secret := range []string{o.Subject, o.Grant, o.Token, string(o.Key)} {
			for _, text := range []string{fmt.Sprintf("%+v", v), string(v.Answer.Body), string(answer), fmt.Sprint(said.Cause)} {
				if strings.Contains(text, secret) {
					t.Errorf("%s: shows %q", what, secret)
				}
			}
		}
	}
	for _, host := range []string{supportHost, payrollHost} {
		mine := []string{"cookie", s.cookie(host, o)}
		for _, now := range []struct {
			name  string
			after time.Duration
			says  func(context.Context, session.Outside) (time.Time, error)
		}{{"fresh", 0, nil}, {"renewed", 2, nil}, {"down", 4, down}, {"garbage", 10, panics}, {"ended", 16, ended}, {"ended before", 17, nil}} {
			s.now = start.Add(now.after * time.Minute)
			s.clouds.says(now.says)
			for _, in := range [][]string{navigation, fetch, form} {
				look(now.name, s.Decide(t.Context(), to(host, "GET", "/x", lines(in, mine)...)))
				look(now.name, s.Decide(t.Context(), to(host, "POST", "/x", lines(in, mine)...)))
			}
		}
	}
}
