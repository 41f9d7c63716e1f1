package signin

import (
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/idna"

	"isogate/envoy/topology"
	"isogate/extauthz/page"
)

// askAddress asks who has no session for an e-mail address, and brings who has one to where they wanted.
func (d *Identity) askAddress(v visit) (page.Answer, error) {
	if !IsNavigation(v.Method, v.Header.Get) {
		return page.Denial(http.StatusUnauthorized, "unauthenticated", false, d.SignInURL()), nil
	}
	back, carry, err := d.wanted(v.query)
	if err != nil {
		return page.StartAgain(d.home(v.host)), nil
	}
	if current, err := d.living(v); err == nil {
		return d.handOver(v, current, back)
	}
	return drop(v, page.AskAddress(page.Form{Action: PathSignIn, Carry: carry}, "")), nil
}

// wanted is where a sign-in leads to, nil if nowhere in particular, and what the forms hand on so that it stays so.
func (d *Identity) wanted(from map[string]string) (back *flow, carry []page.Field, err error) {
	sealed, there := from["flow"]
	if !there {
		return nil, nil, nil
	}
	opened, err := d.open(sealed)
	if err != nil {
		return nil, nil, err
	}
	return &opened, []page.Field{{Name: "flow", Value: sealed}}, nil
}

// choose takes the address that a person typed, or the standard option that they chose after it.
//
// Of the address, its domain alone is looked at, and only to compare it with the directory: no cloud is asked, so neither the answer nor the
// time it takes tells whether anybody has that address. Nothing of it is kept, and nothing of it is in the answer.
func (d *Identity) choose(v visit) (page.Answer, error) {
	form, err := readForm(v)
	if err != nil {
		return page.Refused(http.StatusBadRequest, "bad-request"), nil
	}
	_, carry, err := d.wanted(form)
	if err != nil {
		return page.StartAgain(d.home(v.host)), nil
	}
	if name, chosen := form[page.Standard]; chosen {
		return d.standard(v, name, form["cloud"], carry), nil
	}
	domain := spelled(form["email"])
	if domain == "" {
		return page.AskAddress(page.Form{Action: PathSignIn, Carry: carry}, page.NotAnAddress), nil
	}
	return d.ways(d.Clouds.byDomain[domain], carry), nil
}

// spelled is the domain that browsers and mail programs make of what was typed as an address, "" if it is none. Nothing is believed because of it,
// so it may be lenient; and it must be: a domain that was merely typed in another way, full-width, or with a dot at its end, would count as
// unknown, and lead a person of an isolated cloud to the standard options with the organisation's password.
func spelled(typed string) string {
	local, domain, _ := strings.Cut(strings.TrimSpace(typed), "@")
	mapped, err := idna.Lookup.ToASCII(domain) // UTS 46: capitals, widths, the dots of other scripts
	if err != nil {
		mapped = domain
	}
	_, domain, err = normalEmail(local + "@" + strings.TrimSuffix(mapped, "."))
	if err != nil || !strings.Contains(domain, ".") {
		return ""
	}
	return domain
}

// ways are the button of an isolated cloud, if the domain is one's, and the standard options.
func (d *Identity) ways(cloud *Federation, carry []page.Field) page.Answer {
	options := make([]string, len(d.Platform.SignIn))
	for i, o := range d.Platform.SignIn {
		options[i] = o.Name
	}
	switch {
	case cloud != nil:
		return page.Ways(cloud.Entry.Title(), toCloud(cloud, carry), options, page.Form{Action: PathSignIn, Carry: named(cloud, carry)}, toAddress(carry))
	case len(options) == 0:
		return page.AskAddress(page.Form{Action: PathSignIn, Carry: carry}, page.NoWay)
	}
	return page.Ways("", page.Form{}, options, page.Form{Action: PathSignIn, Carry: carry}, toAddress(carry))
}

// toAddress is where another address can be typed.
func toAddress(carry []page.Field) string {
	query := url.Values{}
	for _, f := range carry {
		query.Set(f.Name, f.Value)
	}
	return PathSignIn + "?" + query.Encode()
}

// toCloud is the form of a cloud's button.
func toCloud(cloud *Federation, carry []page.Field) page.Form {
	return page.Form{Action: PathFederatedStart, Carry: named(cloud, carry)}
}

func named(cloud *Federation, carry []page.Field) []page.Field {
	return append([]page.Field{{Name: "cloud", Value: cloud.Entry.ID}}, carry...)
}

// standard leads to a standard option, but not the people of an isolated cloud: they would type their organisation's password there.
func (d *Identity) standard(v visit, name, cloud string, carry []page.Field) page.Answer {
	if cloud != "" {
		if known := d.Clouds.byID[cloud]; known != nil {
			return page.StandardRefused(known.Entry.Title(), toCloud(known, carry), toAddress(carry))
		}
		return page.StartAgain(d.home(v.host)) // the directory has changed since
	}
	if option := option(d.Platform.SignIn, name); option != nil {
		return page.Continue(option.Address)
	}
	return page.StartAgain(d.home(v.host))
}

func option(all []topology.Option, name string) *topology.Option {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}
