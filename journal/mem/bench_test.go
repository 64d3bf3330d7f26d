// SPDX-License-Identifier: Apache-2.0

// What a commit costs without a disk.

package mem_test

import (
	"fmt"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

// BenchmarkAppend measures the journal without a disk: the rules, the queue and the copying.
func BenchmarkAppend(b *testing.B) {
	for _, appenders := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("appenders=%d", appenders), func(b *testing.B) {
			log := mem.Open()
			data := make([]byte, 256)
			b.SetParallelism(max(1, appenders/2))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				stream := journal.Stream("order-" + journal.NewID().String())
				for v := journal.Version(0); pb.Next(); v++ {
					e := journal.EventData{ID: journal.NewID(), Type: "order.placed", Data: data}
					if _, err := log.Append(b.Context(), stream, journal.Exactly(v), e); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
