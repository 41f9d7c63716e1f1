package dpop

import (
	"crypto"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// The examples of RFC 9449: the proofs of section 4.1 (figure 2, a token request) and 7.1 (figure 13, a resource request),
// the thumbprint of section 6.1 (figure 8) and the access token of figure 13.
const (
	rfcHeader = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldW" +
		"QVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19."
	rfcTokenProof = rfcHeader + "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0Ijox" +
		"NTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	rfcResourceProof = rfcHeader + "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNv" +
		"dXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemA" +
		"gR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	rfcThumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	rfcToken      = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
)

func TestRFC9449(t *testing.T) {
	token := Want{Method: "POST", URL: "https://server.example.com/token"}
	resource := Want{Method: "GET", URL: "https://resource.example.org/protectedresource", AccessToken: rfcToken, Thumbprint: rfcThumbprint}
	tests := []struct {
		name, proof string
		iat         int64
		want        Want
		cause       string
	}{
		{"a token request", rfcTokenProof, 1562262616, token, ""},
		{"a resource request", rfcResourceProof, 1562262618, resource, ""},
		{"a token request's at the resource", rfcTokenProof, 1562262616, resource, "htm"},
		{"a resource request's at the token endpoint", rfcResourceProof, 1562262618, token, "htm"},
		{"years later", rfcTokenProof, start.Unix(), token, "too long ago"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := newMarks()
			m.now = time.Unix(test.iat, 0)
			got, err := m.verifier().Verify(t.Context(), []string{test.proof}, test.want)
			if test.cause != "" {
				if err == nil || !strings.Contains(err.Error(), test.cause) {
					t.Errorf("error %v, want %s", err, test.cause)
				}
			} else if err != nil || got.Thumbprint != rfcThumbprint || got.Nonce != "" {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// What we make is read by another implementation, claim by claim.
func TestMadeProofElsewhere(t *testing.T) {
	key := must[Key](t)(Generate())
	made := must[string](t)(key.Make(Proof{Method: "GET", URL: url + "?q=1#f", AccessToken: rfcToken, Nonce: "n-1", Now: start}))

	message := must[*jws.Message](t)(jws.ParseString(made))
	header := message.Signatures()[0].ProtectedHeaders()
	if header.Type() != "dpop+jwt" || header.Algorithm() != jwa.ES256 {
		t.Errorf("header %v", header)
	}
	embedded := header.JWK()
	if private, err := jwk.IsPrivateKey(embedded); private || err != nil {
		t.Error("a private key in the header", err)
	}
	if jkt := b64.EncodeToString(must[[]byte](t)(embedded.Thumbprint(crypto.SHA256))); jkt != key.Thumbprint() {
		t.Errorf("thumbprint %s, want %s", key.Thumbprint(), jkt)
	}
	payload := must[[]byte](t)(jws.Verify([]byte(made), jws.WithKey(jwa.ES256, embedded)))
	var got map[string]any
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	if id, _ := got["jti"].(string); len(id) < 26 { // 5 bits a character
		t.Errorf("jti %q has less than 128 bits", id)
	}
	delete(got, "jti")
	want := map[string]any{"htm": "GET", "htu": url, "iat": float64(start.Unix()), "ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo", "nonce": "n-1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What others make passes here, whichever the algorithm.
func TestProofsFromElsewhere(t *testing.T) {
	for _, p := range []pair{newES256(t), newPS256(t)} {
		got := wantPassed(t, p.sign(t, p.header(t), claimsWith(t, "nonce", "n-1")), p.want())
		if diff := cmp.Diff(Verified{Thumbprint: p.jkt, Nonce: "n-1"}, got); diff != "" {
			t.Errorf("%s: %s", p.alg, diff)
		}
		for name, value := range map[string]string{"kid": "k", "use": "sig", "alg": p.alg.String()} {
			wantPassed(t, p.sign(t, headerOf(p.alg.String(), p.jwkWith(t, name, value)), goodClaims(t)), p.want())
		}
		wantPassed(t, p.sign(t, " "+p.header(t)+"\n", claimsWith(t, "other", map[string]any{"a": []int{1}})), p.want())
	}
}
