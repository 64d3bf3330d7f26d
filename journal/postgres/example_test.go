// SPDX-License-Identifier: Apache-2.0

// How to use this package.

package postgres_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/postgres"
)

func ExampleOpen() {
	ctx := context.Background()
	log, err := postgres.Open(ctx, postgres.Config{URL: "postgres://node@db1,db2/shop?target_session_attrs=read-write"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()
	placed := journal.EventData{ID: journal.NewID(), Type: "order.placed", Data: []byte(`{"total": 12}`)}
	res, err := log.Append(ctx, "order-42", journal.None, placed)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("written at position", res.Position)
}

// A row of your own and an event are committed together, or neither is.
func ExampleTx() {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, "postgres://app@db1/shop")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close(ctx)
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "update stock set left = left - 1 where item = $1", "teapot"); err != nil {
			return err
		}
		reserved := journal.EventData{ID: journal.NewID(), Type: "item.reserved"}
		return postgres.Tx(tx, "").Append(ctx, "order-42", journal.Exists, reserved)
	})
	if err = postgres.Error(err); errors.Is(err, journal.ErrConflict) {
		fmt.Println("the order is not there:", err)
	}
}
