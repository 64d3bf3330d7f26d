// SPDX-License-Identifier: Apache-2.0

// How a log is read.

package eventlog_test

import (
	"fmt"
	"path/filepath"

	"example.com/vidimus/cmd/vidimus/internal/eventlog"
)

func ExampleOpen() {
	log, err := eventlog.Open(filepath.Join("testdata", "tickets.csv"), eventlog.Options{Category: "ticket"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()
	for event, err := range log.All() {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(event.Stream, event.Type, event.Time.Format("15:04"), string(event.Data))
	}
	// Output:
	// ticket-T-1 open 08:00 {"Resource":"Ann","Remark":"says \"it broke\"; twice"}
	// ticket-T-2 open 06:01 {"Resource":"Bob"}
	// ticket-T-1 close 00:00 {"Resource":"Ann"}
}
