// SPDX-License-Identifier: Apache-2.0

// Declaring a type that has changed.

package schema_test

import (
	"encoding/json"
	"fmt"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/schema"
)

// Renamed is schema 2 of the event: schema 1 had only "name".
type Renamed struct {
	First string `json:"first"`
	Last  string `json:"last"`
}

// EventType is the stored name.
func (Renamed) EventType() string { return "customer.renamed" }

func Example() {
	types, err := schema.New(nil, schema.Declaration{
		Event: Renamed{}, Schema: 2,
		Up: []schema.Cast{func(data []byte) ([]byte, error) {
			var old struct{ Name string }
			if err := json.Unmarshal(data, &old); err != nil {
				return nil, err
			}
			return json.Marshal(Renamed{Last: old.Name})
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	stored := journal.Event{EventData: journal.EventData{
		Type: "customer.renamed", Schema: 1, Data: []byte(`{"name":"Lovelace"}`),
	}}
	value, err := types.Decode(&stored)
	fmt.Printf("%+v %v\n", value, err)
	// Output: {First: Last:Lovelace} <nil>
}
