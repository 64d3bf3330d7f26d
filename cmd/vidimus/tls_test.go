// SPDX-License-Identifier: Apache-2.0

// Real handshakes with an edge that ends TLS.

package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/edge/extauthz"
)

// writeCertificate makes a certificate for 127.0.0.1, and returns the files and who trusts it.
func writeCertificate(t *testing.T) (cert, key string, trust *x509.CertPool) {
	t.Helper()
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // whose signatures need no chance
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(nil, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "edge.crt"), filepath.Join(dir, "edge.key")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: raw}, key: {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust = x509.NewCertPool()
	trust.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
	return cert, key, trust
}

// told is a log that can be waited for.
type told chan string

func (l told) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// runEdge runs an edge until the test ends, and returns where it can be reached.
func runEdge(t *testing.T, c *edgeCmd, log io.Writer) (url, auth string) {
	t.Helper()
	out, in := io.Pipe()
	a := &app{out: in, err: log, json: true, getenv: func(string) string { return "" }}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		err := c.Run(ctx, a)
		_ = in.CloseWithError(err)
		done <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ URL, Auth string }
	if err := json.Unmarshal([]byte(line), &said); err != nil {
		t.Fatal(err)
	}
	return said.URL, said.Auth
}

// clientOf speaks one version of HTTP in TLS.
func clientOf(t *testing.T, trust *x509.CertPool, http2 bool) *http.Client {
	t.Helper()
	p := new(http.Protocols)
	p.SetHTTP1(!http2)
	p.SetHTTP2(http2)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}, Protocols: p}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestAnEdgeEndsTLS(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-Proto")+" employee="+r.Header.Get("X-Employee"))
	}))
	t.Cleanup(service.Close)
	cert, key, trust := writeCertificate(t)
	log := make(told, 1000)
	url, auth := runEdge(t, &edgeCmd{
		Authority: "http://127.0.0.1:1", Audience: "shop", Listen: "127.0.0.1:0", Auth: "127.0.0.1:0",
		Upstream: service.URL, Open: []string{"/"}, MaxStale: time.Second, WhenStale: "refuse", Drain: time.Second,
		Strip: []string{"X-Employee"}, Limit: "10/1m", TLSCert: cert, TLSKey: key,
	}, log)
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(name, func(t *testing.T) {
			client := clientOf(t, trust, http2)
			got := ask(t, client, url, http.Header{"X-Forwarded-Proto": {"http"}, "X_employee": {"7"}, "X-Employee": {"7"}})
			// This machine is trusted, because another proxy may ask: what it says of the scheme counts.
			if got.proto != name || got.body != "http employee=" {
				t.Errorf("the edge answers %s with %q", got.proto, got.body)
			}
			if got := ask(t, client, url, nil); got.body != "https employee=" {
				t.Errorf("the service was told %q, want https", got.body)
			}
			got = ask(t, client, auth, http.Header{"X-Forwarded-Uri": {"/"}, "X-Forwarded-Method": {"GET"}})
			if got.proto != name || got.status != http.StatusOK {
				t.Errorf("a proxy is answered %d in %s", got.status, got.proto)
			}
		})
	}
	t.Run("gRPC", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, auth+extauthz.Procedure,
			strings.NewReader("\x00\x00\x00\x00\x00")) // one empty message
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
		res, err := clientOf(t, trust, true).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if got := res.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/grpc") {
			t.Errorf("Envoy is answered %s with %s", res.Status, got)
		}
	})
	t.Run("in the clear nobody is answered", func(t *testing.T) {
		for _, address := range []string{url, auth} {
			res, err := http.Get(strings.Replace(address, "https:", "http:", 1))
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusBadRequest {
				t.Errorf("%s answers %s in the clear", address, res.Status)
			}
			line := <-log
			for !strings.Contains(line, "TLS handshake error") {
				line = <-log
			}
			if !strings.HasPrefix(line, `{"time":`) {
				t.Errorf("the log of --json says %q", line)
			}
		}
	})
}

// answered is what a client got.
type answered struct {
	proto, body string
	status      int
}

func ask(t *testing.T, client *http.Client, url string, h http.Header) answered {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if h != nil {
		r.Header = h
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{res.Proto, string(body), res.StatusCode}
}
