// SPDX-License-Identifier: Apache-2.0

// The certificate of those who end TLS themselves.

package main

import "crypto/tls"

// certificate reads what --tls-cert and --tls-key name, once. It returns nil without them.
func certificate(cert, key string) (*tls.Config, error) {
	if cert == "" && key == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, usage("--tls-cert", "%v; give --tls-cert and --tls-key, both in PEM", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}, nil
}
