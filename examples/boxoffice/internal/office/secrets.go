// SPDX-License-Identifier: Apache-2.0

// The two secrets of the sample, each in a file of its own beside the journal: what the signing keys are sealed with,
// and what the services show to the authority.

package office

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/server/token"
)

// sealKey returns the key that the signing keys are sealed with, and makes it when there is none.
func sealKey(dir string) ([]byte, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "boxoffice.key")
	key, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		key = make([]byte, 32)
		chance.Fill(key)
		return key, os.WriteFile(name, key, 0o600)
	}
	return key, err
}

// nodeToken returns the token that the services show to the authority, and makes one when there is none, or when the
// journal does not know it.
func nodeToken(ctx context.Context, book *token.Book, dir string) (string, error) {
	name := filepath.Join(dir, "boxoffice.token")
	if kept, err := os.ReadFile(name); err == nil {
		text := strings.TrimSpace(string(kept))
		if _, err := book.Verify(ctx, text); !errors.Is(err, token.ErrUnauthenticated) {
			return text, err
		}
	}
	rights, err := token.ParseRights("feed", "passport:"+TrustDomain)
	if err != nil {
		return "", err
	}
	text, _, err := book.Create(ctx, token.Spec{Name: "boxoffice", Rights: rights})
	if err != nil {
		return "", err
	}
	return text, os.WriteFile(name, []byte(text+"\n"), 0o600)
}
