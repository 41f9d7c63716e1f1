package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSettled(t *testing.T) {
	old, justSettled, fresh, future := start.Add(-time.Hour), start.Add(-Settle), start.Add(-Settle+time.Second), start.Add(time.Hour)
	tests := []struct {
		name string
		keys []dated[string]
		want string
	}{
		{"one key, new", []dated[string]{{"a", fresh}}, "a"},
		{"one key, from the future", []dated[string]{{"a", future}}, "a"},
		{"the new one waits", []dated[string]{{"a", old}, {"b", fresh}}, "a"},
		{"the new one is settled", []dated[string]{{"a", old}, {"b", justSettled}}, "b"},
		{"the youngest settled one", []dated[string]{{"a", old}, {"b", old.Add(1)}, {"c", justSettled}, {"d", fresh}, {"e", future}}, "c"},
		{"none is settled: the oldest", []dated[string]{{"a", fresh}, {"b", fresh.Add(1)}, {"c", future}}, "a"},
	}
	for _, test := range tests {
		if got := settled(test.keys, start); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestLoadOrder(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, at time.Time) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		touch(t, dir, name, at)
	}
	write("b.key", start)
	write("a.key", start.Add(900*time.Millisecond)) // of the same second: the name decides
	write("z.key", start.Add(-time.Hour))
	write("c.key", start.Add(time.Hour))
	for _, other := range []string{".hidden.key", "README", "a.pem", "key"} {
		write(other, start)
	}
	loaded, err := loadDir(dir, ".key", func(b []byte) (string, error) { return string(b), nil })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range loaded {
		got = append(got, k.key)
	}
	if diff := cmp.Diff([]string{"z.key", "a.key", "b.key", "c.key"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFirstKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	must[*Signers](t)(OpenSigners(dir, time.Now))
	must[*Sealers](t)(OpenSealers(dir, time.Now))
	for name, want := range map[string]fs.FileMode{"": fs.ModeDir | 0o700, "0-first.pem": 0o600, "0-first.key": 0o600} {
		info := must[fs.FileInfo](t)(os.Stat(filepath.Join(dir, name)))
		if info.Mode() != want {
			t.Errorf("%q has mode %v, want %v", name, info.Mode(), want)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("%d entries, want the two keys and nothing left over", len(entries))
	}
	first := must[*Signers](t)(OpenSigners(dir, time.Now)).JWKS()
	if again := must[*Signers](t)(OpenSigners(dir, time.Now)).JWKS(); string(first) != string(again) {
		t.Error("opening again made another key")
	}
}

func TestStartersDoNotClash(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	var bodies [8]string
	var wg sync.WaitGroup
	for i := range bodies {
		wg.Go(func() {
			s, err := OpenSigners(dir, time.Now)
			if err != nil {
				t.Error(err)
				return
			}
			bodies[i] = string(s.JWKS())
		})
	}
	wg.Wait()
	for _, body := range bodies {
		if body != bodies[0] {
			t.Fatal("two starters have different keys")
		}
	}
}

func TestGenerateRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, generate := range []func(dir, name string) error{GenerateSigner, GenerateSealer} {
		if err := generate(dir, "2027-01"); err != nil {
			t.Fatal(err)
		}
		if err := generate(dir, "2027-01"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a second key of one name: %v, want fs.ErrExist", err)
		}
		for _, name := range []string{"../up", "a/b", ".hidden", ""} {
			if err := generate(dir, name); err == nil {
				t.Errorf("the name %q was accepted", name)
			}
		}
	}
}

func pkcs8(t *testing.T, curve elliptic.Curve) []byte {
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(curve, rand.Reader))
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must[[]byte](t)(x509.MarshalPKCS8PrivateKey(key))})
}

func TestBadKeyFiles(t *testing.T) {
	p256, rsaPrivate := pkcs8(t, elliptic.P256()), newPS256(t, "").private
	rsaPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must[[]byte](t)(x509.MarshalPKCS8PrivateKey(rsaPrivate))})
	sec1 := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("any")})
	tests := []struct {
		name, file string
		body       []byte
		mode       fs.FileMode
		want       string
	}{
		{"readable by the group", "k.pem", p256, 0o640, "chmod 600"},
		{"readable by all", "k.pem", p256, 0o604, "chmod 600"},
		{"writable by the group", "k.key", make([]byte, 32), 0o620, "chmod 600"},
		{"another curve", "k.pem", pkcs8(t, elliptic.P384()), 0o600, "P-256"},
		{"another algorithm", "k.pem", rsaPEM, 0o600, "P-256"},
		{"not PKCS #8", "k.pem", sec1, 0o600, "PKCS #8"},
		{"two keys in one file", "k.pem", append(p256, p256...), 0o600, "one PEM block"},
		{"no PEM", "k.pem", []byte("secret words"), 0o600, "PEM"},
		{"empty", "k.pem", nil, 0o600, "PEM"},
		{"broken DER", "k.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}), 0o600, "asn1"},
		{"too short", "k.key", make([]byte, 31), 0o600, "31 bytes"},
		{"with a line break", "k.key", make([]byte, 33), 0o600, "33 bytes"},
		{"huge", "k.key", make([]byte, maxKeyFile+1), 0o600, "too large"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, test.file)
			if err := errors.Join(os.WriteFile(path, test.body, test.mode), os.Chmod(path, test.mode)); err != nil {
				t.Fatal(err)
			}
			var err error
			if filepath.Ext(test.file) == ".pem" {
				_, err = OpenSigners(dir, time.Now)
			} else {
				_, err = OpenSealers(dir, time.Now)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v, want an error that names %s and says %q", err, path, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret words") {
				t.Error("the error holds the file's content")
			}
		})
	}
}

func TestBadDirectories(t *testing.T) {
	notADir := filepath.Join(t.TempDir(), "file")
	twice, crowded, nested := t.TempDir(), t.TempDir(), t.TempDir()
	write := func(dir, name string, body []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Dir(notADir), "file", nil)
	write(twice, "a.key", make([]byte, 32))
	write(twice, "b.key", make([]byte, 32))
	key := pkcs8(t, elliptic.P256())
	write(twice, "a.pem", key)
	write(twice, "b.pem", key)
	for i := range maxKeys + 1 {
		write(crowded, string(rune('A'+i))+".key", append(make([]byte, 31), byte(i)))
		write(crowded, string(rune('A'+i))+".pem", key)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(nested, "k.key"), 0o700), os.Mkdir(filepath.Join(nested, "k.pem"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"a file": notADir, "one key twice": twice, "too many": crowded, "a directory as key": nested} {
		if _, err := OpenSigners(dir, time.Now); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("signers, %s: %v, want an error that names %s", name, err, dir)
		}
		if _, err := OpenSealers(dir, time.Now); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("sealers, %s: %v, want an error that names %s", name, err, dir)
		}
	}
}
