// SPDX-License-Identifier: Apache-2.0

// What commands say, by which the same id under another one is noticed.

package session

import "time"

// saying is what a command says, as whoever sent it knows it: without what was filled in, who it was and which version
// was expected, as these may differ when it is repeated. What its digest is of is stored, so new fields have to be
// absent when they are empty.
type saying struct {
	Kind         string        `json:"kind"`
	Set          State         `json:"set,omitempty"`
	Unset        []string      `json:"unset,omitempty"`
	Via          string        `json:"via,omitempty"`
	ACR          string        `json:"acr,omitempty"`
	AMR          []string      `json:"amr,omitempty"`
	AuthTime     time.Time     `json:"auth_time,omitzero"`
	Scopes       []string      `json:"scopes,omitempty"`
	State        State         `json:"state,omitempty"`
	SubjectState State         `json:"subject_state,omitempty"`
	Idle         time.Duration `json:"idle,omitempty"`
	Absolute     time.Duration `json:"absolute,omitempty"`
}

// says returns what a change says.
func (c *Change) says() any { return saying{Kind: "change", Set: c.Set, Unset: c.Unset, Via: c.Via} }

// says returns what a step-up says, before the time of it is filled in.
func (u *StepUp) says() any {
	return saying{Kind: "step-up", ACR: u.ACR, AMR: u.AMR, AuthTime: second(u.AuthTime), Scopes: u.Scopes}
}

// says returns what a start says, before the defaults are filled in. The device is not said by whoever signs in, and
// what was proved before is known by its proof: that may be read again, with another state.
func (st *Start) says() any {
	if !st.Proved.IsZero() {
		return saying{Kind: "proved start"}
	}
	return saying{
		Kind: "start", ACR: st.ACR, AMR: st.AMR, AuthTime: second(st.AuthTime), Scopes: st.Scopes, State: st.State,
		SubjectState: st.SubjectState, Idle: st.Idle, Absolute: st.Absolute,
	}
}

// second returns a time as sessions keep it.
func second(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Second)
}
