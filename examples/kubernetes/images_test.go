package kubernetes

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"isogate/examples/product"
	"isogate/examples/service"
	"isogate/extauthz/keys"
	"isogate/extauthz/usercontext"
)

// imageVariable tells this program that it is what an image of the manifests would hold: a product, or a service.
const imageVariable = "MANIFESTS_IMAGE"

func imageOf(c corev1.Container) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(c.Image, "registry.example/"), ":")
	return name
}

// image serves what is in an image of a name, with the arguments of its container; it returns if there is no such image.
func image(name string) {
	listen := flag.NewFlagSet(name, flag.ExitOnError)
	address, sidecar := listen.String("listen", "", ""), listen.String("sidecar", "", "")
	var handler http.Handler
	switch name {
	case "issues":
		verifier := usercontext.Verifier{
			Issuer: "https://auth.acme.example", Audience: "issues",
			Keys: keys.NewRemote("https://auth.acme.example"+usercontext.JWKSPath, overTLS(), time.Now),
		}
		handler = product.New(product.Config{ID: "issues", Name: "Issue tracker", Verify: verifier.Middleware, Claims: func(r *http.Request) any {
			claims, _ := usercontext.From(r.Context())
			return claims
		}})
	case "support":
		_ = listen.Parse(os.Args[1:])
		handler = service.New("support", "Support Centre", *sidecar)
	default:
		return
	}
	_ = listen.Parse(os.Args[1:])
	fmt.Fprintln(os.Stderr, http.ListenAndServe(*address, handler))
	os.Exit(1)
}

// overTLS trusts the roots of the image.
func overTLS() *http.Client {
	roots, err := x509.SystemCertPool()
	if err != nil {
		panic(err)
	}
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
}
