package world

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"isogate/examples/service"
	"isogate/extauthz/dpop"
	"isogate/extauthz/keys"
	"isogate/extauthz/session"
)

// Call is one call of a product of an isolated cloud by a commercial service.
type Call struct {
	Cloud   string // the isolated cloud's id; the first one's if ""
	Token   string // at a sidecar what the service was given for a person, at a gateway an access token; none if ""
	Proof   string // at a gateway the proof of possession; none if ""
	Product string
	Method  string // GET if ""
	Target  string // path and query
	Header  map[string]string
	Body    string // none if ""
}

// callTimeout is longer than any hop on the way waits.
const callTimeout = 30 * time.Second

// Given is what a service was given for the person of a browser, as the beginning of a call.
func (w *World) Given(b *Browser, id string) (Call, error) {
	a, err := b.Do("GET", w.Platform.URL(id, "/whoami"), Fetch, nil, "")
	if err != nil {
		return Call{}, err
	}
	var given service.Echo
	if a.Status != http.StatusOK {
		return Call{}, fmt.Errorf("world: %s answered %d", id, a.Status)
	}
	if err := json.Unmarshal([]byte(a.Body), &given); err != nil {
		return Call{}, err
	}
	tokens := given.Headers[strings.ToLower(service.TokenHeader)]
	if len(tokens) != 1 {
		return Call{}, fmt.Errorf("world: %s was given %d tokens", id, len(tokens))
	}
	return Call{Cloud: given.Cloud, Token: tokens[0]}, nil
}

// To is the same call of another endpoint.
func (c Call) To(product, method, target string) Call {
	c.Product, c.Method, c.Target = product, method, target
	return c
}

// cloud finds a cloud by its id; the first one for "".
func (w *World) cloud(id string) *Cloud {
	for _, c := range w.clouds() {
		if c.ID == id {
			return c
		}
	}
	return w.Cloud
}

// CallSidecar calls as the service does: in plain HTTP, where its own sidecar listens. An empty part of the call is a header that is not there.
func (w *World) CallSidecar(id string, c Call) (Answer, error) {
	client := w.sidecarClient()
	defer client.CloseIdleConnections()
	return w.sidecarBy(client, id, c)
}

func (w *World) sidecarClient() *http.Client { return callsBy(&http.Transport{}) }

// callsBy follows no redirect: what comes back is the answer.
func callsBy(transport *http.Transport) *http.Client {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: transport, Timeout: callTimeout, CheckRedirect: stay}
}

// sidecarBy is the same call by a client that may have a connection already.
func (w *World) sidecarBy(client *http.Client, id string, c Call) (Answer, error) {
	header := map[string]string{service.CloudHeader: c.Cloud, service.TokenHeader: c.Token, service.ProductHeader: c.Product}
	return c.send(client, "http://"+local(w.Platform.ports.sidecars[id]), header)
}

// CallGateway calls a cloud's gateway as a sidecar does: over HTTP/2 in mutual TLS with the certificate of a caller, such as support; with none for "".
func (w *World) CallGateway(caller string, c Call) (Answer, error) {
	client, err := w.gatewayClient(caller, w.cloud(c.Cloud))
	if err != nil {
		return Answer{}, err
	}
	defer client.CloseIdleConnections()
	return w.gatewayBy(client, c)
}

// gatewayClient reaches the gateway of one cloud, whatever name it asks for.
func (w *World) gatewayClient(caller string, at *Cloud) (*http.Client, error) {
	trust := &tls.Config{RootCAs: w.CA.Pool(), ServerName: at.GatewayHost(), MinVersion: tls.VersionTLS13}
	if caller != "" {
		pair, err := tls.LoadX509KeyPair(w.Platform.caller(caller)+".pem", w.Platform.caller(caller)+".key")
		if err != nil {
			return nil, err
		}
		trust.Certificates = []tls.Certificate{pair}
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, local(at.ports.gateway))
	}
	return callsBy(&http.Transport{TLSClientConfig: trust, DialContext: dial, ForceAttemptHTTP2: true}), nil
}

// gatewayBy is the same call by a client that may have a connection already.
func (w *World) gatewayBy(client *http.Client, c Call) (Answer, error) {
	header := map[string]string{"DPoP": c.Proof}
	if c.Token != "" {
		header["Authorization"] = "DPoP " + c.Token
	}
	return c.send(client, "https://"+w.cloud(c.Cloud).GatewayName(c.Product), header)
}

func (c Call) send(client *http.Client, origin string, header map[string]string) (Answer, error) {
	request, err := http.NewRequest(c.Method, origin+c.Target, strings.NewReader(c.Body))
	if err != nil {
		return Answer{}, err
	}
	for _, set := range []map[string]string{header, c.Header} {
		for name, value := range set {
			if value != "" {
				request.Header.Set(name, value)
			}
		}
	}
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return Answer{Status: response.StatusCode, Proto: response.Proto, URL: request.URL, Header: response.Header, Body: string(body), Set: response.Cookies()}, err
}

// Opened is what a service was given, opened with the world's own keys: the access token, and a proof of possession for the call, which nobody but
// the service's sidecar could make.
func (w *World) Opened(id string, c Call) (Call, error) {
	sealers, err := keys.OpenSealers(w.Platform.secret(tokenKey(id)), time.Now)
	if err != nil {
		return c, err
	}
	carried, err := session.Carrier{Service: id, Keys: sealers, Now: time.Now}.Open(c.Token)
	if err != nil {
		return c, err
	}
	key, err := dpop.ParseKey(carried.Key)
	if err != nil {
		return c, err
	}
	path, _, _ := strings.Cut(c.Target, "?")
	c.Token = carried.Token
	c.Proof, err = key.Make(dpop.Proof{
		Method: cmp.Or(c.Method, http.MethodGet), URL: "https://" + w.cloud(c.Cloud).GatewayName(c.Product) + path, AccessToken: carried.Token, Now: time.Now(),
	})
	return c, err
}

// GatewayHost is the server name of the cloud's gateway.
func (c *Cloud) GatewayHost() string { return "gateway." + c.of.domain }

// GatewayName is the host of one of its products there.
func (c *Cloud) GatewayName(product string) string { return product + "." + c.GatewayHost() }

// WritePolicy puts a file of Rego into the folder of the cloud's policies, in the place of the one of that name, such as gateway.rego.
func (c *Cloud) WritePolicy(name, text string) error {
	return replaceFile(filepath.Join(c.Policies(), name), []byte(text))
}

// EditPolicy replaces text in a file of the cloud's policies. The old text must be there.
func (c *Cloud) EditPolicy(name, old, fresh string) error {
	return editFile(filepath.Join(c.Policies(), name), old, fresh)
}

// Reason is the word of a problem; "" where the answer is none.
func (a Answer) Reason() string {
	var problem struct{ Reason string }
	if a.Header.Get("Content-Type") != "application/problem+json" || json.Unmarshal([]byte(a.Body), &problem) != nil {
		return ""
	}
	return problem.Reason
}

// waitCrossing waits for the first answers of each gateway and each sidecar. None of them passes anything: a gateway lets nobody in without a
// product's endpoint, and no sidecar opens a made-up token.
func (w *World) waitCrossing(ctx context.Context) error {
	for _, c := range w.clouds() {
		if err := w.waitFor(ctx, "the gateway of "+c.of.name, http.StatusForbidden, func() (Answer, error) {
			return w.CallGateway(stranger, Call{Cloud: c.ID, Product: "issues", Target: "/"})
		}); err != nil {
			return err
		}
	}
	for _, id := range sidecars() {
		if err := w.waitFor(ctx, "the sidecar of "+id, http.StatusUnauthorized, func() (Answer, error) {
			return w.CallSidecar(id, Call{Cloud: w.ID, Token: "made-up", Product: "issues", Target: "/"})
		}); err != nil {
			return err
		}
	}
	return nil
}
