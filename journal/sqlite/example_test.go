// SPDX-License-Identifier: Apache-2.0

// A journal in a file, and beside the application's own rows.

package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/sqlite"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	log, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "shop.db")})
	if err != nil {
		panic(err)
	}
	defer log.Close()
	res, err := log.Append(ctx, "order-7", journal.None, journal.EventData{Type: "order.placed"})
	fmt.Println(res.Position, err)

	_, err = sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "shop.db")})
	fmt.Println(errors.Is(err, journal.ErrLocked))
	// Output:
	// 1 <nil>
	// true
}

// A row of the application's and an event become durable together, or neither does.
func ExampleTx() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "shop.db")

	log, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		panic(err)
	}
	defer log.Close()
	db, err := sql.Open("sqlite3", sqlite.DSN(path)) // import _ "github.com/ncruces/go-sqlite3/driver"
	if err != nil {
		panic(err)
	}
	defer db.Close()

	place := func(order string, e journal.EventData) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS orders(id TEXT PRIMARY KEY)"); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders VALUES(?)", order); err != nil {
			return err
		}
		if _, err := sqlite.Tx(log, tx).Append(ctx, journal.Stream("order-"+order), journal.None, e); err != nil {
			return err
		}
		return tx.Commit()
	}
	fmt.Println(place("7", journal.EventData{Type: "order.placed"}))
	fmt.Println(place("7", journal.EventData{Type: "order.placed"}) != nil) // the row is there already
	head, err := log.Head(ctx)
	fmt.Println(head.Position, err)
	// Output:
	// <nil>
	// true
	// 1 <nil>
}
