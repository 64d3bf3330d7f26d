// SPDX-License-Identifier: Apache-2.0

// The programme: which shows there are, where, and what their seats cost.

package seat

import (
	"fmt"
	"strconv"
	"strings"
)

// Show is one evening at one venue.
type Show struct {
	ID, Title, Venue string
	// State is where the venue stands. Seats are for people who may buy there.
	State string
	// Rows are the prices of the rows, A first; every row has Width seats.
	Rows  []Cents
	Width int
}

// Place is one seat of a show, as the programme knows it.
type Place struct {
	ID     string // such as "lyra-b4"
	Show   string
	Row    string
	Number int
	Price  Cents
}

// Programme returns the shows of the season.
func Programme() []Show {
	return []Show{
		{
			ID: "lyra", Title: "Lyra, an evening of strings", Venue: "Harbor Hall, Newark", State: "NJ",
			Rows: []Cents{90_00, 70_00, 50_00, 35_00}, Width: 8,
		},
		{
			ID: "tempest", Title: "The Tempest", Venue: "Mill Stage, Philadelphia", State: "PA",
			Rows: []Cents{60_00, 45_00, 30_00}, Width: 8,
		},
	}
}

// States lists the states that a show of the season is in.
func States() []string { return []string{"NJ", "PA"} }

// Name is what people call the seat, such as "B4".
func (p Place) Name() string { return p.Row + strconv.Itoa(p.Number) }

// Places returns the seats of a show, row by row.
func (s Show) Places() []Place {
	places := make([]Place, 0, len(s.Rows)*s.Width)
	for i, price := range s.Rows {
		row := string(rune('A' + i))
		for n := 1; n <= s.Width; n++ {
			id := fmt.Sprintf("%s-%s%d", s.ID, strings.ToLower(row), n)
			places = append(places, Place{ID: id, Show: s.ID, Row: row, Number: n, Price: price})
		}
	}
	return places
}

// Find returns the seat with an id, and its show.
func Find(id string) (Show, Place, bool) {
	for _, show := range Programme() {
		if !strings.HasPrefix(id, show.ID+"-") {
			continue
		}
		for _, place := range show.Places() {
			if place.ID == id {
				return show, place, true
			}
		}
	}
	return Show{}, Place{}, false
}
