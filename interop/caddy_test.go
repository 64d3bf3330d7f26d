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

// caddyConfig is what stands around the lines of docs/edge.md.
const caddyConfig = `
{
	admin off
	auto_https off
	persist_config off
}
http://127.0.0.1:PORT {
	bind 127.0.0.1
GUIDE
}
`

func TestCaddyIsToldWhomToLetThrough(t *testing.T) {
	t.Parallel()
	p := openProxied(t)
	p.startCaddy(t, p.guide(t, caddyGuide))
	p.protects(t)
}

// caddyGuide is what stands above the lines for Caddy in docs/edge.md.
const caddyGuide = "## Caddy\n\n```\n"

// startCaddy builds Caddy, and runs it with lines of docs/edge.md.
func (p *proxied) startCaddy(t *testing.T, guide string) {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	path := filepath.Join(dir, "caddy")
	build := exec.Command("go", "build", "-o", path, "github.com/caddyserver/caddy/v2/cmd/caddy")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build Caddy from its module: %v\n%s", err, output)
	}
	config := strings.NewReplacer("PORT", fmt.Sprint(port), "GUIDE", guide).Replace(caddyConfig)
	file := filepath.Join(dir, "Caddyfile")
	must(t, os.WriteFile(file, []byte(config), 0o600))
	p.start(t, port, path, "run", "--config", file, "--adapter", "caddyfile")
}
