package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"
)

// TestMain lets the test binary be extauthz itself, for tests of whole processes.
func TestMain(m *testing.M) {
	if os.Getenv("BE_EXTAUTHZ") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		args        []string
		exit        int
		out, faults string
	}{
		{[]string{"-h"}, 0, help, ""},
		{[]string{"--help"}, 0, help, ""},
		{[]string{"help"}, 0, help, ""},
		{[]string{"polcy"}, 2, "", "unknown command \"polcy\"\n\n" + help},
		{[]string{"polcy", "-h"}, 2, "", "unknown command \"polcy\"\n\n" + help},
	} {
		var out, faults bytes.Buffer
		if exit := run(tt.args, &out, &faults); exit != tt.exit || out.String() != tt.out || faults.String() != tt.faults {
			t.Errorf("%q: %d\n%s\n%s", tt.args, exit, &out, &faults)
		}
	}
	for _, word := range []string{"jwks", "egress", "policy"} {
		var out, faults bytes.Buffer
		if exit := run([]string{word, "-h"}, &out, &faults); exit != 2 || !strings.Contains(faults.String(), "extauthz "+word) {
			t.Errorf("%s -h: %d\n%s%s", word, exit, &out, &faults)
		}
		if !strings.Contains(help, "\n  extauthz "+word+" ") {
			t.Errorf("the help does not name %s", word)
		}
	}
	for _, args := range [][]string{nil, {""}, {"-config"}, {"-config", "x", "jwks"}} {
		if c, output := command(args...); c.Run() == nil || strings.Contains(output.String(), "unknown command") {
			t.Errorf("%q: %s", args, output)
		}
	}
}

// record is an output that a test can read while it is written.
type record struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

// command is extauthz with arguments, and where its output goes.
func command(args ...string) (*exec.Cmd, *record) {
	c, output := exec.Command(os.Args[0], args...), &record{}
	c.Env = append(os.Environ(), "BE_EXTAUTHZ=1")
	c.Stdout, c.Stderr = output, output
	return c, output
}

// process is a running extauthz. It runs until the test ends, and SIGTERM must end it well and soon.
type process struct {
	t     *testing.T
	log   *record
	admin string
}

func startProcess(t *testing.T, admin string, args ...string) *process {
	t.Helper()
	c, output := command(args...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		began := time.Now()
		if err := errors.Join(c.Process.Signal(syscall.SIGTERM), c.Wait()); err != nil || time.Since(began) > 10*time.Second {
			t.Errorf("ending took %s: %v\n%s", time.Since(began), err, output)
		}
	})
	p := &process{t: t, log: output, admin: admin}
	p.eventually("ready", func() bool { _, status := p.ask("/readyz"); return status == http.StatusOK })
	return p
}

func (p *process) eventually(what string, holds func() bool) {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	p.t.Fatalf("never: %s\n%s", what, p.log)
}

// ask gets a page of the admin listener; status 0 where nothing answers.
func (p *process) ask(path string) (body string, status int) {
	answer, err := http.Get("http://" + p.admin + path)
	if err != nil {
		return "", 0
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(raw), answer.StatusCode
}

// refuses does something to files and waits until the process has not taken it, with a fault that says a text.
func (p *process) refuses(name, fault string, change func()) {
	p.t.Helper()
	before := p.log.String()
	change()
	p.eventually(name+" is a fault", func() bool {
		for line := range strings.Lines(strings.TrimPrefix(p.log.String(), before)) {
			if strings.Contains(line, "reload failed") && strings.Contains(line, fault) {
				return true
			}
		}
		return false
	})
}

// checks is Envoy's side of a check socket.
func (p *process) checks(socket string) auth.AuthorizationClient {
	p.t.Helper()
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	return auth.NewAuthorizationClient(conn)
}

// decided is Envoy's view of an answer.
type decided struct {
	reason string
	status int               // 0 for a pass
	set    map[string]string // of a pass
	body   string
}

// sendCheck asks about a request as Envoy does. Header lines are name, value, name, value.
func (p *process) sendCheck(checks auth.AuthorizationClient, host, product, target string, lines ...string) decided {
	p.t.Helper()
	header := &core.HeaderMap{}
	for i := 0; i+1 < len(lines); i += 2 {
		header.Headers = append(header.Headers, &core.HeaderValue{Key: lines[i], RawValue: []byte(lines[i+1])})
	}
	answer, err := checks.Check(p.t.Context(), &auth.CheckRequest{Attributes: &auth.AttributeContext{
		Request:    &auth.AttributeContext_Request{Http: &auth.AttributeContext_HttpRequest{Method: "GET", Host: host, Path: target, HeaderMap: header}},
		TlsSession: &auth.AttributeContext_TLSSession{Sni: host},
		RouteMetadataContext: &core.Metadata{FilterMetadata: map[string]*structpb.Struct{
			"isogate": {Fields: map[string]*structpb.Value{"product": structpb.NewStringValue(product)}},
		}},
	}}, grpc.WaitForReady(true))
	if err != nil {
		p.t.Fatal(err)
	}
	d := decided{
		reason: answer.GetDynamicMetadata().GetFields()["reason"].GetStringValue(), status: int(answer.GetDeniedResponse().GetStatus().GetCode()),
		body: answer.GetDeniedResponse().GetBody(), set: map[string]string{},
	}
	for _, h := range answer.GetOkResponse().GetHeaders() {
		d.set[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
	}
	return d
}

// shortDir is a folder whose name leaves room for a unix socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "x")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// write puts a file in place whole, as an editor does.
func write(t *testing.T, file, text string) {
	t.Helper()
	err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file+".new", []byte(text), 0o600), os.Rename(file+".new", file))
	if err != nil {
		t.Fatal(err)
	}
}

// authority is the PEM of a certificate that signs itself.
func authority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
}
