// SPDX-License-Identifier: Apache-2.0

// Caddy asks an edge about each request (forward_auth).

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// caddyConfig is what an operator writes. The first lines take away what a client says of itself: what the edge does not
// answer must not stay.
const caddyConfig = `
{
	admin off
	auto_https off
	persist_config off
}
http://127.0.0.1:PORT {
	bind 127.0.0.1
	route {
		request_header -Txn-Token
		request_header -Txn_Token
		request_header -Vidimus-*
		request_header -X-Original-*
		forward_auth AUTH {
			uri /
			copy_headers Txn-Token Vidimus-Position Vidimus-Consistency Cookie
		}
		@replaced not vars {http.reverse_proxy.header.Set-Cookie} ""
		header @replaced +Set-Cookie {http.reverse_proxy.header.Set-Cookie}
		reverse_proxy SERVICE
	}
}
`

func TestCaddyIsToldWhomToLetThrough(t *testing.T) {
	t.Parallel()
	p := openProxied(t)
	dir, port := t.TempDir(), freePort(t)
	path := filepath.Join(dir, "caddy")
	build := exec.Command("go", "build", "-o", path, "github.com/caddyserver/caddy/v2/cmd/caddy")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build Caddy from its module: %v\n%s", err, output)
	}
	config := strings.NewReplacer("PORT", fmt.Sprint(port),
		"SERVICE", strings.TrimPrefix(p.service.URL, "http://"), "AUTH", strings.TrimPrefix(p.auth.URL, "http://")).
		Replace(caddyConfig)
	file := filepath.Join(dir, "Caddyfile")
	must(t, os.WriteFile(file, []byte(config), 0o600))
	p.start(t, port, path, "run", "--config", file, "--adapter", "caddyfile")
	p.protects(t)
}
