package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A cookie of another length would break the recorded message, and one that base64 does not write would be refused for that alone.
func TestMadeUpCookiesHaveTheFormOfRealOnes(t *testing.T) {
	for _, size := range []int{32, 640, 641, 642, 643, 644, 645, 646, 647} {
		genuine := randomText(base64.RawURLEncoding.EncodedLen(size))
		s := &stage{sessions: []string{genuine}, outsiders: []string{genuine}}
		for name, made := range map[string]func(int) string{"forged": s.forged, "forged sealed": s.forgedSealed, "altered sealed": s.alteredSealed} {
			one, other := made(0), made(0)
			raw, err := base64.RawURLEncoding.Strict().DecodeString(one)
			if err != nil || len(raw) != size || len(one) != len(genuine) || one == other || one == genuine {
				t.Errorf("%s of %d bytes: %d bytes, %v", name, size, len(raw), err)
			}
		}
		if got := s.alteredSealed(0); !strings.HasPrefix(got, genuine[:16]) {
			t.Errorf("%d bytes: an altered cookie names another key", size)
		}
	}
}

func TestABlankIsReplaced(t *testing.T) {
	s := &stage{outsiders: []string{"some.sealed.value"}}
	kind := scenario{outside: true, path: "/", cookie: (*stage).sealed}
	q := question{message: kind.request("support.example", s.blank(kind))}
	if got, want := string(q.with(s.sealed(0))), string(kind.request("support.example", s.sealed(0))); got != want || !strings.Contains(got, "__Host-isogate_federated=some.sealed.value") {
		t.Errorf("%s", got)
	}
}

// A figure is worth nothing if what was measured is another answer.
func TestAnotherStatusThanWantedEndsTheMeasurement(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "c.sock")
	served, err := startSelf(socket+".log", "noop", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(served.stop)
	if err := served.waitSocket(t.Context(), socket); err != nil {
		t.Fatal(err)
	}
	on, err := dialServer(socket, os.Getpid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { on.conn.Close() })
	if _, err := on.batch(t.Context(), [][]byte{{}}, nil, 200); err != nil {
		t.Error(err)
	}
	for _, status := range []int{302, 401} {
		if _, err := on.batch(t.Context(), [][]byte{{}}, nil, status); err == nil {
			t.Errorf("a pass counts as %d", status)
		}
	}
}
