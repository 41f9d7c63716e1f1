package signin

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"
)

// tokenCase is one way in which an ID token lies. want is the reason of the refusal, or "" where it is taken.
type tokenCase struct {
	name, want string
	conduct    conduct
}

const (
	untrue = "provider-unavailable" // the token cannot be the provider's: nobody's fault here
	other  = "start-again"          // it is valid, and not the answer to this sign-in
)

func tryTokens(t *testing.T, r *rig, cases []tokenCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			f, b := r.idps["honest"], r.browser()
			f.behave(tt.conduct)
			before := len(f.codes())
			got := b.signIn("honest", "bob")
			if len(f.codes()) != before+1 {
				t.Fatal("no ID token was asked for")
			}
			if got.reason() != tt.want {
				t.Errorf("%d %q, want %q", got.status, got.reason(), tt.want)
			}
			if who := b.who(); (who != "") != (tt.want == "") || who != "" && who != "bob@honest.example" {
				t.Errorf("signed in as %q", who)
			}
		})
	}
}

// encoding/json takes names that differ in case alone for one and believes the last (RFC 7519 section 4 allows refusing doubled names). A
// provider that lets people add claims would let them choose who they are.
func TestDoubledClaimsAreRefused(t *testing.T) {
	unverified := say(map[string]any{"email_verified": false})
	cases := []tokenCase{
		{"the truth", "", conduct{}},
		{"more claims", "", conduct{members: `"locale":"en","address":{"locality":"x"},"custom":["email","email"]`}},
	}
	for _, members := range []string{
		`"sub":"ceo"`, `"Sub":"ceo"`, `"SUB":"bob"`, `"ſub":"ceo"`, `"\u0073ub":"ceo"`, `"\u017Fub":"ceo"`,
		`"email":"ceo@honest.example"`, `"Email":"ceo@honest.example"`, `"EMAIL":"bob@honest.example"`, `"\u0045mail":"ceo@honest.example"`,
		`"iss":"https://evil.example"`, `"iſs":"https://evil.example"`, `"Aud":"isogate"`, `"nonce":"x"`, `"NONCE":"x"`,
		`"exp":9999999999`, `"Exp":9999999999`, `"iat":1`, `"groups":[],"groups":["admins"]`, `"groups":[],"Groups":["admins"]`,
		`"azp":"isogate","Azp":"isogate"`, `"acr":"1","ACR":"2"`, `"name":"Bob","Name":"The CEO"`, `"auth_time":1,"Auth_Time":2`,
	} {
		cases = append(cases, tokenCase{members, untrue, conduct{members: members}})
	}
	for _, members := range []string{`"email_verified":true`, `"EMAIL_VERIFIED":true`, `"Email_Verified":"true"`, `"email_veriſied":true`, `"EMAIL_VERIFIED":true,"email_verified":false`} {
		want := untrue
		if strings.Contains(members, "veriſied") { // it only looks like it
			want = "email-not-verified"
		}
		cases = append(cases, tokenCase{"unverified, and " + members, want, conduct{claims: unverified, members: members}})
	}
	// One alone, where the right one is absent, is no better.
	for absent, members := range map[string]string{
		"email_verified": `"EMAIL_VERIFIED":true`, "email": `"Email":"bob@honest.example"`, "sub": `"\u017Fub":"bob"`, "exp": `"EXP":9999999999`,
	} {
		cases = append(cases, tokenCase{members + " alone", untrue, conduct{claims: say(map[string]any{absent: nil}), members: members}})
	}
	cases = append(cases, tokenCase{"other names deeper down, such as clients", "", conduct{members: `"resource_access":{"App":1,"app":2}`}})
	tryTokens(t, newRig(t, "honest"), cases)
}

func TestIDTokenIsSignedByTheProvidersKey(t *testing.T) {
	r := newRig(t, "honest")
	key, another := r.idps["honest"].key, newKey(t)
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	with := func(header map[string]any, sign func(string) []byte) conduct {
		return conduct{token: func(payload []byte) string { return jws(header, payload, sign) }}
	}
	head := func(alg, kid string) map[string]any { return map[string]any{"alg": alg, "kid": kid} }
	tryTokens(t, r, []tokenCase{
		{"rightly", "", with(head("ES256", "k"), es256(key))},
		{"HS256, by the public key's point", untrue, with(head("HS256", "k"), hs256(point))},
		{"HS256, by the public key's PEM", untrue, with(head("HS256", "k"), hs256(public))},
		{"HS256, by a key that the provider publishes", untrue, with(head("HS256", "oct"), hs256([]byte(octKey)))},
		{"HS256, by the client's secret", untrue, with(head("HS256", "k"), hs256([]byte(clientSecret)))},
		{"HS256, by nothing", untrue, with(head("HS256", "k"), hs256(nil))},
		{"EdDSA, by a key that the provider publishes", untrue, with(head("EdDSA", "ed"), eddsa)},
		{"none", untrue, with(head("none", "k"), unsigned)},
		{"none in another spelling", untrue, with(head("nOnE", "k"), unsigned)},
		{"none, with a signature", untrue, with(head("none", "k"), es256(key))},
		{"ES256, not signed", untrue, with(head("ES256", "k"), unsigned)},
		{"another algorithm than the signature's", untrue, with(head("RS256", "k"), es256(key))},
		{"no algorithm", untrue, with(map[string]any{"kid": "k"}, es256(key))},
		{"by another key of the same name", untrue, with(head("ES256", "k"), es256(another))},
		{"by another key without a name", untrue, with(map[string]any{"alg": "ES256"}, es256(another))},
		{"by the right key under an unknown name", untrue, with(head("ES256", "unknown"), es256(key))},
		{"by the right key under another's name", untrue, with(head("ES256", "oct"), es256(key))},
		{"by a key that it brings", untrue, with(map[string]any{"alg": "ES256", "kid": "k", "jwk": jwk(&another.PublicKey, "k")}, es256(another))},
		{"a signature of zeros", untrue, with(head("ES256", "k"), func(string) []byte { return make([]byte, 64) })}, // CVE-2022-21449
		{"the signature of other claims", untrue, with(head("ES256", "k"), func(input string) []byte { return es256(key)(input + "x") })},
		{"a critical extension that nobody knows", untrue, with(map[string]any{"alg": "ES256", "kid": "k", "crit": []string{"x"}, "x": 1}, es256(key))},
		{"no token", untrue, conduct{token: func([]byte) string { return "" }}},
		{"claims without a signature", untrue, conduct{token: func(payload []byte) string { return string(payload) }}},
	})
}

func TestIDTokenIsOfThisTimeAndForThisClient(t *testing.T) {
	r := newRig(t, "honest")
	at := func(d time.Duration) int64 { return r.clock.now().Add(d).Unix() }
	claim := func(name string, value any) conduct { return conduct{claims: say(map[string]any{name: value})} }
	both := func(a string, va any, b string, vb any) conduct {
		return conduct{claims: say(map[string]any{a: va, b: vb})}
	}
	tryTokens(t, r, []tokenCase{
		{"exp missing", untrue, claim("exp", nil)}, {"exp 0", untrue, claim("exp", 0)}, {"exp negative", untrue, claim("exp", -1)},
		{"exp is text", untrue, claim("exp", "tomorrow")},
		{"exp within the skew", "", claim("exp", at(2*time.Second-skew))}, {"exp beyond it", untrue, claim("exp", at(-skew))},
		{"nbf within the skew", "", claim("nbf", at(skew-2*time.Second))}, {"nbf beyond it", untrue, claim("nbf", at(skew+2*time.Second))},
		{"nbf past", "", claim("nbf", at(-time.Hour))},
		{"iat missing", untrue, claim("iat", nil)}, {"iat within the skew", "", claim("iat", at(skew-2*time.Second))}, {"iat beyond it", untrue, claim("iat", at(skew+2*time.Second))},
		{"auth_time within the skew", "", claim("auth_time", at(skew-2*time.Second))}, {"auth_time beyond it", untrue, claim("auth_time", at(skew+2*time.Second))},

		{"another issuer", untrue, claim("iss", "https://evil.example")}, {"iss missing", untrue, claim("iss", nil)},
		{"another audience", untrue, claim("aud", "another")}, {"aud missing", untrue, claim("aud", nil)}, {"aud in capitals", untrue, claim("aud", "ISOGATE")},
		{"two audiences, authorized party us", "", both("aud", []string{"another", clientID}, "azp", clientID)},
		{"two audiences, no authorized party", other, claim("aud", []string{"another", clientID})},
		{"another authorized party", other, claim("azp", "another")},
		{"another nonce", other, claim("nonce", "another")}, {"nonce missing", other, claim("nonce", nil)}, {"nonce empty", other, claim("nonce", "")},
		{"sub missing", other, claim("sub", nil)}, {"sub empty", other, claim("sub", "")},

		{"email missing", "no-email", claim("email", nil)}, {"email of another domain", "email-domain", claim("email", "bob@evil.example")},
		{"email not verified", "email-not-verified", claim("email_verified", false)}, {"email_verified missing", "email-not-verified", claim("email_verified", nil)},
		{"a long name", "claims-too-large", claim("name", strings.Repeat("x", maxClaim+1))},
		{"many groups", "claims-too-large", claim("groups", strings.Split(strings.Repeat("g ", maxGroups), " "))},
	})
}
