package world

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// forgery would be a log line of its own, and a command to the terminal of whoever reads it.
const forgery = "canary\r\n{\"level\":\"INFO\",\"msg\":\"forged\"}\r\n[2026-01-01 00:00:00.000][1][critical] forged \x1b[31m\x1b]0;owned\x07"

// CVE-2024-45808: whatever a stranger, a person, an identity provider or a file says, a log line stays one line without control characters.
func TestNobodyCanForgeALogLine(t *testing.T) {
	sizes := map[string]int64{}
	logs, err := filepath.Glob(filepath.Join(shared.Dir, "log", "*.log"))
	if err != nil || len(logs) < 5 {
		t.Fatalf("logs: %q %v", logs, err)
	}
	for _, file := range logs {
		if info, err := os.Stat(file); err == nil {
			sizes[file] = info.Size()
		}
	}
	forgeInRequests(t)
	forgeAsProvider(t)
	forgeInFiles(t)
	var extauthz, ingress string
	for _, file := range logs {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fresh := raw[min(sizes[file], int64(len(raw))):]
		wantWholeLines(t, filepath.Base(file), fresh)
		switch filepath.Base(file) {
		case "extauthz.log":
			extauthz = string(fresh)
		case "envoy-ingress.log":
			ingress = string(fresh)
		}
	}
	if !strings.Contains(extauthz, `got \"canary\\r\\n`) || !strings.Contains(extauthz, "unknown key") || !strings.Contains(extauthz, "zz_forged.rego") {
		t.Error("extauthz logged nothing of it: this test proves nothing")
	}
	if ingress == "" {
		t.Error("the ingress logged nothing")
	}
}

// wantWholeLines demands lines of one of our daemons, one object each, or of an Envoy.
func wantWholeLines(t *testing.T, name string, log []byte) {
	t.Helper()
	if at := bytes.IndexAny(log, "\r\x1b\x07\x00"); at >= 0 {
		t.Errorf("%s holds a control character: %q", name, log[max(0, at-100):min(len(log), at+100)])
	}
	for line := range bytes.Lines(log) {
		var record map[string]any
		err := json.Unmarshal(line, &record)
		isEnvoys := strings.HasPrefix(name, "envoy-") && err != nil
		if err != nil && !isEnvoys || record["msg"] == "forged" || bytes.Contains(line, []byte("[critical] forged")) && isEnvoys {
			t.Errorf("%s: no line of ours: %q %v", name, line, err)
		}
	}
}

// forgeInRequests sends it in each part of a request, over raw bytes where no client would.
func forgeInRequests(t *testing.T) {
	t.Helper()
	b, escaped := person(t, "bob"), url.QueryEscape(forgery)
	for _, at := range []string{"signin?flow=", "signin?prompt=", "signin?provider=", "callback?state=x&code=", "callback?state=", "callback?error=", "logout?x=", "session?"} {
		must(t)(b.Step(shared.URL("auth", "/.isogate/"+at+escaped)))
	}
	must(t)(b.Step(shared.URL("issues", "/.isogate/enter?ticket="+escaped)))
	must(t)(b.Step(shared.URL("issues", "/%1b%5b31m%0d%0aforged?"+escaped)))
	own := newAnswer(t, watched(t), "alice")
	must(t)(own.browser.Step(own.with(url.Values{"code": nil, "error": {forgery}, "error_description": {forgery}, "error_uri": {forgery}})))
	own = newAnswer(t, watched(t), "alice")
	must(t)(own.browser.Step(own.with(url.Values{"code": {forgery}})))

	head := "Host: " + shared.hosts()["issues"] + "\r\n"
	for _, request := range []string{
		"GET /\x1b[31m HTTP/1.1\r\n" + head, "GE\x1b[31mT / HTTP/1.1\r\n" + head, "GET / HTTP/1.1\r\nHost: \x1b[31m" + "\r\n", "GET / HTTP/1.1\r\n" + head + "User-Agent: \x1b[31m\r\n",
		"GET / HTTP/1.1\r\n" + head + "User-Agent: x\rforged\r\n", "GET / HTTP/1.1\r\n" + head + "X-\x1b: x\r\n", "\x1b]0;owned\x07\r\n", "CAN\"ARY / HTTP/1.1\r\n" + head,
	} {
		conn, err := tls.Dial("tcp", shared.Edge(), &tls.Config{RootCAs: shared.CA.Pool(), ServerName: "issues." + Domain, NextProtos: []string{"http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(conn, request+"Connection: close\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn) // it is answered or cut
		conn.Close()
	}
	for _, name := range []string{"\x1b[31m." + Domain, "x\r\nforged." + Domain} { // a server name of the handshake, which the edge reads
		if conn, err := tls.Dial("tcp", shared.Edge(), &tls.Config{InsecureSkipVerify: true, ServerName: name}); err == nil { // nothing is said to it
			conn.Close()
		}
	}
}

// forgeAsProvider has the provider say it of a person.
func forgeAsProvider(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { shared.Provider.Mutate(nil) })
	for _, claim := range []string{"email", "name", "groups", "acr", "iss", "aud", "azp", "sub", "nonce", "auth_time", "amr"} {
		shared.Provider.Mutate(set(claim, forgery))
		must(t)(watched(t).SignIn(shared.User("bob"), shared.URL("issues", "/")))
	}
	shared.Provider.Mutate(nil)
}

// forgeInFiles has an operator, who copied it from somewhere, write it into the policies and the file.
func forgeInFiles(t *testing.T) {
	t.Helper()
	reloads := func(what string, port int) func() bool {
		counter := fmt.Sprintf(`isogate_reloads_total{result="failed",what=%q}`, what)
		before := metric(t, port, counter)
		return func() bool { return metric(t, port, counter) != before }
	}
	counted := reloads("policies", shared.ports.extauth)
	bad := filepath.Join(shared.Policies(), "zz_forged.rego")
	if err := replaceFile(bad, []byte("package isogate.ingress\n\nx := \"\x1b[31m"+forgery+"\n")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the policy is refused", counted)
	if err := os.Remove(bad); err != nil {
		t.Fatal(err)
	}
	counted, control := reloads("config", shared.ports.extauth), reloads("config", shared.ports.xds)
	key, err := json.Marshal(forgery)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("file", func(t *testing.T) {
		edit(t, shared.File(), "cloud:\n", "cloud:\n  "+string(key)+": 1\n")
		eventually(t, "the file is refused", func() bool { return counted() && control() })
	})
}
