// SPDX-License-Identifier: Apache-2.0

// nginx asks an edge about each request (auth_request).

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// nginxConfig is what stands around the lines of docs/edge.md.
const nginxConfig = `
daemon off;
pid DIR/nginx.pid;
error_log stderr warn;
events {}
http {
	access_log off;
	client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi;
	uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
	server {
		listen 127.0.0.1:PORT;
GUIDE
	}
}
`

func TestNginxIsToldWhomToLetThrough(t *testing.T) {
	t.Parallel()
	p := openProxied(t)
	p.startNginx(t, p.guide(t, nginxGuide))
	p.protects(t)
}

// nginxGuide is what stands above the lines for nginx in docs/edge.md.
const nginxGuide = "```nginx\n"

// startNginx runs nginx with lines of docs/edge.md.
func (p *proxied) startNginx(t *testing.T, guide string) {
	t.Helper()
	path := program(t, "nginx", "apt-get install nginx-light")
	dir, port := t.TempDir(), freePort(t)
	config := strings.NewReplacer("DIR", dir, "PORT", fmt.Sprint(port), "GUIDE", guide).Replace(nginxConfig)
	file := filepath.Join(dir, "nginx.conf")
	must(t, os.WriteFile(file, []byte(config), 0o600))
	p.start(t, port, path, "-p", dir, "-c", file, "-e", "stderr")
}
