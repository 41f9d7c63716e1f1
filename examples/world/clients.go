package world

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.yaml.in/yaml/v3"

	"isogate/extauthz/keys"
)

// Client is the OAuth client of the world: the commercial side, which recognises people of isolated clouds.
const Client = "commercial"

// callbacks are where the OAuth server may send people back to: the commercial side's own, and one where nobody answers, for relying parties that
// run elsewhere, as [RelyingParty] does.
func (w *World) callbacks() []string {
	return []string{w.callback(), w.Platform.URL(identityHost, "/.isogate/federated/callback")}
}

func (w *World) callback() string {
	return "https://" + net.JoinHostPort("relying-party."+commercialDomain, strconv.Itoa(w.ports.edge)) + "/callback"
}

// clientFile is a file in the folder of a cloud's clients, which holds public keys.
func (c *Cloud) clientFile(name string) string { return filepath.Join(c.secret("clients"), name) }

// clientFolder is the commercial side's folder with the private keys that it has for a cloud.
func clientFolder(c *Cloud) string { return "client-" + c.of.name }

// privateKeys is the file with these keys as a JWK Set, for people's scripts.
func (w *World) privateKeys(c *Cloud) string {
	return w.Platform.secret(clientFolder(c) + ".private.jwks")
}

// makeClient makes the key of the commercial side for a cloud. The public half is what the isolated file names.
func (w *World) makeClient(c *Cloud) error {
	folder := w.Platform.secret(clientFolder(c))
	signers, err := keys.OpenSigners(folder, time.Now)
	if err != nil {
		return err
	}
	if err := replaceFile(c.clientFile(Client+".jwks"), signers.JWKS()); err != nil {
		return err
	}
	private, err := privateSet(folder, signers.JWKS())
	if err != nil {
		return err
	}
	return replaceFile(w.privateKeys(c), private)
}

// privateSet is the one key of a folder as a JWK Set with the private half (RFC 7517).
func privateSet(folder string, public []byte) ([]byte, error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(public, &set); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.pem"))
	if err != nil {
		return nil, err
	}
	if len(files) != 1 || len(set.Keys) != 1 {
		return nil, fmt.Errorf("%s holds %d keys and not one", folder, len(files))
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s is no PEM", files[0])
	}
	if set.Keys[0].Key, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
		return nil, err
	}
	return json.MarshalIndent(set, "", "  ")
}

// moreClients are the entries of the file that a person gave, as text below cloud.clients. They are not judged here: the daemons read them, and
// say what is wrong.
func (w *World) moreClients() (string, error) {
	if w.Clients == "" {
		return "", nil
	}
	raw, err := os.ReadFile(w.Clients)
	if err != nil {
		return "", err
	}
	folder, err := filepath.Abs(filepath.Dir(w.Clients))
	if err != nil {
		return "", err
	}
	text, err := clientEntries(raw, folder, w.keepKeys)
	if err != nil {
		return "", fmt.Errorf("%s: %w", w.Clients, err)
	}
	return text, nil
}

// clientEntries are the entries of a list, or of a file with a list under clients. The paths in them become absolute: they start at the folder
// of the file that they come from. Keys that stand in an entry itself go to a file, which keep writes: the isolated file names files only.
func clientEntries(raw []byte, folder string, keep func(id string, set any) (file string, err error)) (string, error) {
	var list []map[string]any
	var file struct{ Clients []map[string]any }
	if err := yaml.Unmarshal(raw, &list); err != nil && yaml.Unmarshal(raw, &file) == nil {
		list = file.Clients
	}
	if len(list) == 0 {
		return "", errors.New("wants a list of clients, each as under cloud.clients")
	}
	for i, entry := range list {
		switch set := entry["jwks"].(type) {
		case string:
			if !filepath.IsAbs(set) {
				entry["jwks"] = filepath.Join(folder, set)
			}
		case map[string]any:
			name, err := keep(fmt.Sprintf("more-%d.jwks", i), set)
			if err != nil {
				return "", err
			}
			entry["jwks"] = name
		}
	}
	text, err := yaml.Marshal(list)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		out.WriteString("    " + line)
	}
	return out.String(), nil
}

// keepKeys writes a key set that stood in a client's entry.
func (w *World) keepKeys(name string, set any) (string, error) {
	raw, err := json.Marshal(set)
	if err != nil {
		return "", err
	}
	return w.clientFile(name), replaceFile(w.clientFile(name), raw)
}
