// SPDX-License-Identifier: Apache-2.0

// The messages of envoy.service.auth.v3 on the wire, by the numbers of their fields (Envoy's
// api/envoy/service/auth/v3 and the messages it uses, in version 1.36).

package extauthz

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

var (
	errNoRequest = errors.New("the question names no method or no path: " +
		"it must hold attributes.request.http, as Envoy's filter for HTTP sends it")
	errMalformed = errors.New("the question is no CheckRequest")
)

// headersMax is how many headers a question may have.
const headersMax = 1000

// codec reads and writes the messages, under the name that gRPC knows protocol buffers by.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(message any) ([]byte, error) {
	v, ok := message.(*verdict)
	if !ok {
		return nil, fmt.Errorf("cannot write a %T", message)
	}
	return v.append(nil), nil
}

func (codec) Unmarshal(data []byte, message any) error {
	q, ok := message.(*question)
	if !ok {
		return fmt.Errorf("cannot read a %T", message)
	}
	return q.parse(data)
}

// messages calls yield for each field of a message that holds bytes or is a number, and goes past others.
func messages(data []byte, yield func(n protowire.Number, value []byte, number uint64) error) error {
	for len(data) > 0 {
		n, kind, size := protowire.ConsumeTag(data)
		if size < 0 {
			return errMalformed
		}
		data = data[size:]
		var value []byte
		var number uint64
		switch kind {
		case protowire.BytesType:
			value, size = protowire.ConsumeBytes(data)
		case protowire.VarintType:
			number, size = protowire.ConsumeVarint(data)
		default:
			size = protowire.ConsumeFieldValue(n, kind, data)
		}
		if size < 0 {
			return errMalformed
		}
		data = data[size:]
		if kind == protowire.BytesType || kind == protowire.VarintType {
			if err := yield(n, value, number); err != nil {
				return err
			}
		}
	}
	return nil
}

// inside reads the message at a path of field numbers.
func inside(data []byte, path []protowire.Number, read func(data []byte) error) error {
	if len(path) == 0 {
		return read(data)
	}
	return messages(data, func(n protowire.Number, value []byte, _ uint64) error {
		if n != path[0] || value == nil {
			return nil
		}
		return inside(value, path[1:], read)
	})
}

// parse reads a CheckRequest.
func (q *question) parse(data []byte) error {
	http := []protowire.Number{1, 4, 2}      // attributes, request, http
	source := []protowire.Number{1, 1, 1, 1} // attributes, source, address, socket_address
	if err := inside(data, http, q.parseHTTP); err != nil {
		return err
	}
	return inside(data, source, func(data []byte) error {
		return messages(data, func(n protowire.Number, value []byte, number uint64) error {
			switch n {
			case 2:
				q.address = string(value)
			case 3:
				q.port = number
			}
			return nil
		})
	})
}

// parseHTTP reads an AttributeContext.HttpRequest.
func (q *question) parseHTTP(data []byte) error {
	return messages(data, func(n protowire.Number, value []byte, _ uint64) error {
		switch n {
		case 2:
			q.method = string(value)
		case 3: // headers: a map, so each name once, its values joined
			if !q.raw {
				return q.add(value, 2)
			}
		case 4:
			q.path = string(value)
		case 5:
			q.host = string(value)
		case 13: // header_map: as they were sent, instead of headers
			if !q.raw {
				q.raw, q.headers = true, nil
			}
			return inside(value, []protowire.Number{1}, func(data []byte) error { return q.add(data, 3) })
		}
		return nil
	})
}

// add reads a header: a name, a value, and in a HeaderValue the value in another field, if it has bytes of all
// kinds.
func (q *question) add(data []byte, last protowire.Number) error {
	var f field
	err := messages(data, func(n protowire.Number, value []byte, _ uint64) error {
		switch {
		case n == 1:
			f.name = string(value)
		case n == 2 || n == last:
			f.value = string(value)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(q.headers) == headersMax:
		return fmt.Errorf("the question has more than %d headers", headersMax)
	}
	q.headers = append(q.headers, f)
	return nil
}

// remote returns an address as net/http has it.
func remote(address string, port uint64) string {
	a, err := netip.ParseAddr(address)
	if err != nil || port > 0xffff {
		return ""
	}
	return netip.AddrPortFrom(a, uint16(port)).String()
}

// The codes of google.rpc.Status.
const (
	codeDenied          = 7
	codeUnauthenticated = 16
)

// append writes a CheckResponse: status 1, and either ok_response 3 or denied_response 2.
func (v *verdict) append(b []byte) []byte {
	if v.Status == http.StatusOK {
		b = appendMessage(b, 1, nil)
		return appendMessage(b, 3, v.appendOK(nil))
	}
	code := uint64(codeDenied)
	if v.Status == http.StatusUnauthorized {
		code = codeUnauthenticated
	}
	b = appendMessage(b, 1, appendNumber(nil, 1, code))
	return appendMessage(b, 2, v.appendDenied(nil))
}

// appendOK writes an OkHttpResponse: headers 2, headers_to_remove 5, response_headers_to_add 6.
func (v *verdict) appendOK(b []byte) []byte {
	remove := v.Remove
	eachField(v.Request, func(name, value string) {
		if value == "" {
			remove = append(remove[:len(remove):len(remove)], name)
			return
		}
		b = appendMessage(b, 2, appendHeader(nil, name, value, false))
	})
	for _, name := range remove {
		if v.Request[http.CanonicalHeaderKey(name)] == nil || v.Request.Get(name) == "" {
			b = appendMessage(b, 5, []byte(strings.ToLower(name)))
		}
	}
	eachField(v.Response, func(name, value string) {
		b = appendMessage(b, 6, appendHeader(nil, name, value, name == "set-cookie"))
	})
	return b
}

// appendDenied writes a DeniedHttpResponse: status 1, headers 2, body 3.
func (v *verdict) appendDenied(b []byte) []byte {
	b = appendMessage(b, 1, appendNumber(nil, 1, uint64(v.Status)))
	eachField(v.Response, func(name, value string) {
		b = appendMessage(b, 2, appendHeader(nil, name, value, name == "set-cookie"))
	})
	return appendMessage(b, 3, v.Body)
}

// appendHeader writes a HeaderValueOption: header 1, append 2 and append_action 3, the older way and the newer one
// to say whether what is there stays.
func appendHeader(b []byte, name, value string, stays bool) []byte {
	const overwrite = 2 // OVERWRITE_IF_EXISTS_OR_ADD
	b = appendMessage(b, 1, appendMessage(appendMessage(nil, 1, []byte(name)), 2, []byte(value)))
	if stays {
		return appendMessage(b, 2, appendNumber(nil, 1, 1))
	}
	return appendNumber(appendMessage(b, 2, nil), 3, overwrite)
}

func appendMessage(b []byte, n protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), message)
}

func appendNumber(b []byte, n protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), value)
}
