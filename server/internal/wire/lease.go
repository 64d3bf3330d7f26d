// SPDX-License-Identifier: Apache-2.0

// Leases and the sessions that hold them.

package wire

import (
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/vidimus/journal"
	"example.com/vidimus/lease"
	pb "example.com/vidimus/server/vidimusv1"
)

// Session turns a session into a message.
func Session(s *lease.Session) *pb.Session {
	return &pb.Session{
		Id: s.ID, Owner: s.Owner, Node: s.Node, Ttl: durationpb.New(s.TTL), Started: Time(s.Started),
	}
}

// ToSession turns a message into a session.
func ToSession(m *pb.Session) (lease.Session, error) {
	s := lease.Session{ID: m.GetId(), Owner: m.GetOwner(), Node: m.GetNode(), TTL: m.GetTtl().AsDuration()}
	var err error
	s.Started, err = ToTime("started", m.GetStarted())
	return s, err
}

// Lease turns what is known of a lease into a message.
func Lease(i *lease.Info) *pb.LeaseInfo {
	m := &pb.LeaseInfo{Name: i.Name, Epoch: int64(i.Epoch), Since: Time(i.Since), Forced: i.Forced}
	if i.Holder != (lease.Holder{}) {
		m.Holder = holder(i.Holder)
	}
	for _, h := range i.Waiting {
		m.Waiting = append(m.Waiting, holder(h))
	}
	return m
}

func holder(h lease.Holder) *pb.Holder {
	return &pb.Holder{Owner: h.Owner, Node: h.Node, Session: h.Session}
}

// ToLease turns a message into what is known of a lease.
func ToLease(m *pb.LeaseInfo) (lease.Info, error) {
	i := lease.Info{
		Name: m.GetName(), Epoch: journal.Epoch(m.GetEpoch()), Holder: toHolder(m.GetHolder()), Forced: m.GetForced(),
	}
	for _, h := range m.GetWaiting() {
		i.Waiting = append(i.Waiting, toHolder(h))
	}
	var err error
	i.Since, err = ToTime("since", m.GetSince())
	return i, err
}

func toHolder(m *pb.Holder) lease.Holder {
	return lease.Holder{Owner: m.GetOwner(), Node: m.GetNode(), Session: m.GetSession()}
}
