// SPDX-License-Identifier: Apache-2.0

// How a team that has next-auth reads its cookies, and imports them.

package legacy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"example.com/vidimus/edge/legacy"
)

// A cookie of next-auth, made with the secret "example". It lasts until the year 2286.
const cookie = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..P7nsBT2AZtPhkKLk.js9RM28u0jnNyzy3mN_Ip7f7B7MmW5U-Hlh4j" +
	"avUk5MQlEfx1BZHhTbdm890R4zRZnK0vc9Itl-plkU.VspHVcPWOjfRUPXwgGsRLA"

func ExampleReader() {
	reader, err := legacy.NewReader(legacy.Config{
		Cookies: []legacy.Cookie{{
			Name: "next-auth.session-token", Format: legacy.NextAuth,
			Keys: []legacy.Key{{Secret: []byte("example")}},
		}},
		Map: func(t legacy.Token) (legacy.Identity, error) {
			var c struct{ Sub string }
			err := t.Decode(&c)
			state := map[string]json.RawMessage{"limit": t.Claims["limit"]}
			return legacy.Identity{Subject: c.Sub, SubjectState: state}, err
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	req, _ := http.NewRequest(http.MethodGet, "http://shop.test/", nil)
	req.AddCookie(&http.Cookie{Name: "next-auth.session-token", Value: cookie})
	found, err := reader.Read(req)
	fmt.Println(found.Identity.Subject, string(found.Identity.SubjectState["limit"]), err)

	req.Header.Set("Cookie", "next-auth.session-token="+cookie[1:])
	_, err = reader.Read(req)
	fmt.Println(err, "because it is", legacy.Why(err))
	// Output:
	// ada 100 <nil>
	// legacy cookie refused because it is malformed
}

// sessions stands for package sessionlegacy here.
type sessions struct{}

func (sessions) Find(context.Context, string, string) (legacy.Known, error) {
	return legacy.Known{}, nil
}

func (sessions) Foretell(context.Context, legacy.SignIn) error { return nil }

func (sessions) Start(_ context.Context, s legacy.SignIn) (string, error) {
	return "v1.shop." + s.Subject, nil
}

func ExampleGate() {
	reader, err := legacy.NewReader(legacy.Config{Cookies: []legacy.Cookie{{
		Name: "next-auth.session-token", Format: legacy.NextAuth,
		Keys: []legacy.Key{{Secret: []byte("example")}},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	gate, err := legacy.NewGate(legacy.GateConfig{Reader: reader, Journal: sessions{}, Stage: legacy.Import})
	if err != nil {
		fmt.Println(err)
		return
	}
	req, _ := http.NewRequest(http.MethodGet, "http://shop.test/", nil)
	req.AddCookie(&http.Cookie{Name: "next-auth.session-token", Value: cookie})
	fmt.Println(gate.Import(context.Background(), req))
	fmt.Println(gate.Delete("next-auth.session-token"))
	fmt.Println(gate.Stats().Imported)
	// Output:
	// v1.shop.ada true <nil>
	// next-auth.session-token=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax
	// 1
}
