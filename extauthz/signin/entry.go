package signin

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"isogate/extauthz/page"
)

// entry is what a sign-in begins with, whether it comes in an address, or from our own form, which anybody can send.
type entry struct {
	wish
	back  *flow        // where it leads; nil if nowhere in particular
	carry []page.Field // what the form and the links of a choice hand on; they bring the address for hint themselves
}

// wish is what a sign-in asks of the provider beside the person (OpenID Connect Core 1.0 section 3.1.2.1). It stands in no store.
type wish struct {
	again  bool   // ask who it is even if the provider knows (prompt=login)
	maxAge string // seconds, in decimal: ask unless the person proved who they are since (max_age); "" for no such limit
	acrs   string // how they should prove it, in order of preference, with spaces between (acr_values)
	hint   string // the address that the person typed, or that the OAuth server was told (login_hint)
}

// errEntry means that the parameters of a sign-in are none that we or the OAuth server make.
var errEntry = errors.New("signin: not the parameters of a sign-in")

// entry reads the parameters of a sign-in, each of which stands once. It leads to a sealed target, or back to the OAuth server, or nowhere.
func (d *Door) entry(from map[string]string) (entry, error) {
	sealed, flowed := from["flow"]
	query, authorized := from["authorize"]
	w, err := wishOf(from)
	if err != nil || flowed && authorized {
		return entry{}, errEntry
	}
	in := entry{wish: w, carry: w.params()}
	var back flow
	switch {
	case flowed:
		back, err = d.open(sealed)
		in.carry = append(in.carry, page.Field{Name: "flow", Value: sealed})
	case authorized:
		back, err = d.authorize(query)
		in.carry = append(in.carry, page.Field{Name: "authorize", Value: query})
	default:
		return in, nil
	}
	if err != nil {
		return entry{}, err
	}
	in.back = &back
	return in, nil
}

// authorize is the way back to the OAuth server, with a query of its own. It is not sealed: it holds no more than any page can send a browser
// to the authorization endpoint with, and the host and the path are ours, so that it opens no redirect.
func (f Flows) authorize(raw string) (flow, error) {
	query, err := authorizeQuery(raw)
	back := flow{Host: f.Site.SignIn, Target: PathAuthorize + "?" + query}
	if err != nil || !f.known(back) {
		return flow{}, errEntry
	}
	return back, nil
}

// returned is the parameter by which the OAuth server knows that a request was at the sign-in before.
const returned = "returned"

// authorizeQuery reads a query of the authorization endpoint and writes it anew, so that nothing gets into an address as somebody wrote it. An
// empty one, which the OAuth server never makes, is refused.
func authorizeQuery(raw string) (string, error) {
	if len(raw) > maxTarget {
		return "", errEntry
	}
	given, err := single(raw)
	if err != nil || len(given) == 0 {
		return "", errEntry
	}
	values := url.Values{}
	for name, value := range given {
		if !slices.Contains([]string{"client_id", "request_uri", returned}, name) || !printable(value) {
			return "", errEntry
		}
		values.Set(name, value)
	}
	query := values.Encode()
	if len(query) > maxTarget {
		return "", errEntry
	}
	return query, nil
}

// firstVisit is a target at the authorization endpoint as it was before the OAuth server sent the person here.
func firstVisit(target string) string {
	path, query, _ := strings.Cut(target, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return path
	}
	values.Del(returned)
	return path + "?" + values.Encode()
}

// maxACRs bounds acr_values, in bytes.
const maxACRs = 512

// wishOf reads the wishes among the parameters of a sign-in. One without a value is none (RFC 6749 section 3.1); a hint that is no address is
// dropped, since it only helps.
func wishOf(from map[string]string) (wish, error) {
	w := wish{again: from["prompt"] == promptLogin, acrs: from["acr_values"]}
	if len(w.acrs) > maxACRs || !printable(w.acrs) {
		return wish{}, errEntry
	}
	if text := from["max_age"]; text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return wish{}, errEntry
		}
		w.maxAge = strconv.FormatUint(seconds, 10)
	}
	if email, _, err := normalEmail(from["login_hint"]); err == nil {
		w.hint = email
	}
	return w, nil
}

// params are the wishes but for the hint, named as ours and the provider's alike.
func (w wish) params() []page.Field {
	prompt := ""
	if w.again {
		prompt = promptLogin
	}
	all := []page.Field{{Name: "prompt", Value: prompt}, {Name: "max_age", Value: w.maxAge}, {Name: "acr_values", Value: w.acrs}}
	return slices.DeleteFunc(all, func(f page.Field) bool { return f.Value == "" })
}

// dated tells whether the provider must say when the person proved who they are. Some providers never do unless they are configured to. Where
// they were told to ask the person in any case, the time of their answer is as good; where they were left to judge by max_age, it may be
// hours too late, and must not count.
func (w wish) dated() bool { return w.maxAge != "" && !w.again }

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}
