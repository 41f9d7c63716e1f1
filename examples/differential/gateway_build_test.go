package differential

import "strings"

// comes are the ways in which a call says for whom it is made: as it should, and otherwise.
var comes = [][]string{
	{"Authorization: DPoP " + tokenPlace, "Dpop: " + proofPlace},
	{"Authorization: DPoP " + tokenPlace, "Dpop: " + proofPlace, "Cookie: a=1; __Host-isogate_session=x", "Traceparent: 00-1-1-01", "User-Agent: a"},
	{"authorization: dpop " + tokenPlace, "dpop: " + proofPlace},
	{},
	{"Authorization: DPoP " + tokenPlace},
	{"Authorization: Bearer " + tokenPlace, "Dpop: " + proofPlace},
	{"Authorization: DPoP " + tokenPlace, "Authorization: DPoP " + tokenPlace, "Dpop: " + proofPlace},
	{"Authorization: DPoP " + tokenPlace, "Dpop: " + proofPlace, "Dpop: " + proofPlace},
}

const (
	toCloud   = "X-Isolated-Cloud-Id: {cloud}"
	withToken = "X-Isolated-Cloud-Token: " + carriedPlace
	toProduct = "X-Isolated-Cloud-Product: {product}"
)

// told are the ways in which a service tells its sidecar. {cloud} and {product} are filled in.
var told = [][]string{
	{toCloud, withToken, toProduct},
	{toCloud, withToken, toProduct, "X-Isolated-Cloud-User: u", "Cookie: a=1", "Authorization: Basic eA=="},
	{strings.ToLower(toCloud), strings.ToLower(withToken), strings.ToLower(toProduct), "Authorization: DPoP " + tokenPlace, "Dpop: " + proofPlace},
	{toCloud, toProduct},
	{toCloud, "X-Isolated-Cloud-Id: another", withToken, toProduct},
	{toCloud, withToken, toProduct, "X-Isolated-Cloud-Product: wiki"},
	{toCloud, "X-Isolated-Cloud-Token: x", withToken, toProduct},
	{"X-Isolated-Cloud-Id: {cloud}, another", withToken, "X-Isolated-Cloud-Product: {product}.evil.example/"},
}

// build makes a call of bytes that a fuzzer can change one at a time. Of shape, bit 0 is the protocol, bit 1 leads it through the sidecar, bits 2 and 3
// choose the caller at the gateway, bits 4 to 6 how it is authorised, and bit 7 leaves the stream open where nothing follows in HTTP/2.
func (b *border) build(target, lines, body string, method, host, shape byte) request {
	product := []string{"issues", "wiki", "nothing", "issues"}[host>>6]
	r := request{
		h2: shape&1 == 1, open: shape&0x81 == 0x81, sni: b.cloud.GatewayHost(), method: methodNames[int(method)%len(methodNames)], target: target, body: body,
		caller: []string{"support", "market", "stranger", "support"}[shape>>2&3],
	}
	other := "wiki"
	if product == "wiki" {
		other = "issues"
	}
	own, other := b.cloud.GatewayName(product), b.cloud.GatewayName(other)
	if host>>6 == 3 {
		own = b.cloud.GatewayHost()
	}
	r.hosts = hostForms[max(int(host&31)-16, 0)%len(hostForms)](own, other)
	says := comes[shape>>4&7]
	if shape>>1&1 == 1 {
		r.caller, r.sni, says = "", "", told[shape>>4&7]
	}
	in := strings.NewReplacer("{cloud}", b.cloud.ID, "{product}", product)
	for _, text := range says {
		r.lines = append(r.lines, in.Replace(text))
	}
	if lines != "" {
		r.lines = append(r.lines, strings.Split(lines, "\n")...)
	}
	return r
}
