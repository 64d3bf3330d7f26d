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

// nginxConfig is what an operator writes. $request_uri is the target as the client sent it.
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

		location / {
			auth_request /vidimus-auth;
			auth_request_set $vid_token    $upstream_http_txn_token;
			auth_request_set $vid_position $upstream_http_vidimus_position;
			auth_request_set $vid_cookie   $upstream_http_cookie;
			auth_request_set $vid_set      $upstream_http_set_cookie;
			add_header Set-Cookie $vid_set;

			proxy_pass SERVICE;
			proxy_set_header Txn-Token           $vid_token;
			proxy_set_header Cookie              $vid_cookie;
			proxy_set_header Vidimus-Position    $vid_position;
			proxy_set_header Vidimus-Consistency "";
			proxy_set_header Vidimus-Effect      "";
			proxy_set_header X-Forwarded-For     $remote_addr;
		}

		location = /vidimus-auth {
			internal;
			proxy_pass AUTH;
			proxy_pass_request_body off;
			proxy_set_header Content-Length     "";
			proxy_set_header X-Original-URI     $request_uri;
			proxy_set_header X-Original-Method  $request_method;
			proxy_set_header X-Forwarded-Host   $http_host;
			proxy_set_header X-Forwarded-Proto  $scheme;
			proxy_set_header X-Forwarded-For    $remote_addr;
		}
	}
}
`

func TestNginxIsToldWhomToLetThrough(t *testing.T) {
	t.Parallel()
	path := program(t, "nginx", "apt-get install nginx-light")
	p := openProxied(t)
	dir, port := t.TempDir(), freePort(t)
	config := strings.NewReplacer("DIR", dir, "PORT", fmt.Sprint(port), "SERVICE", p.service.URL, "AUTH", p.auth.URL).
		Replace(nginxConfig)
	file := filepath.Join(dir, "nginx.conf")
	must(t, os.WriteFile(file, []byte(config), 0o600))
	p.start(t, port, path, "-p", dir, "-c", file, "-e", "stderr")
	p.protects(t)
}
