// SPDX-License-Identifier: Apache-2.0

// Tokens, without their secrets.

package wire

import (
	"example.com/vidimus/server/token"
	pb "example.com/vidimus/server/vidimusv1"
)

// Token turns a token into a message.
func Token(t *token.Token) *pb.Token {
	return &pb.Token{
		Id: t.ID, Name: t.Name, Rights: t.Rights.Strings(), Last4: t.Last4,
		Created: Time(t.Created), Expires: Time(t.Expires),
	}
}

// ToToken turns a message into a token.
func ToToken(m *pb.Token) (t token.Token, err error) {
	t.ID, t.Name, t.Last4 = m.GetId(), m.GetName(), m.GetLast4()
	if t.Rights, err = token.ParseRights(m.GetRights()...); err != nil {
		return t, err
	}
	if t.Created, err = ToTime("created", m.GetCreated()); err != nil {
		return t, err
	}
	t.Expires, err = ToTime("expires", m.GetExpires())
	return t, err
}
