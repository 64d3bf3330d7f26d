// SPDX-License-Identifier: Apache-2.0

// Requests in protobuf's own form, and how many parts a request may have.

package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// partsMax is how many messages a request may hold within one another. An empty one takes two bytes on the wire and
// hundreds in memory, so a limit of bytes alone does not bound what a request costs.
const partsMax = 1 << 17

var errParts = fmt.Errorf("the request holds over %d events and other parts; split it", partsMax)

// Binary is the usual binary form of messages. It differs in two ways: it counts the parts of a request before it reads
// it, and a request with fields that it does not know is refused.
type Binary struct{}

// Name returns the codec's name.
func (Binary) Name() string { return "proto" }

// Marshal writes a message.
func (b Binary) Marshal(m any) ([]byte, error) { return b.MarshalAppend(nil, m) }

// MarshalAppend writes a message behind what is in to.
func (Binary) MarshalAppend(to []byte, m any) ([]byte, error) {
	message, ok := m.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", m)
	}
	return proto.MarshalOptions{}.MarshalAppend(to, message)
}

// Unmarshal reads a message. What comes from outside may be anything.
func (Binary) Unmarshal(data []byte, m any) error {
	message, ok := m.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", m)
	}
	const least = 2 // bytes that a part takes
	if len(data) > least*partsMax && parts(message.ProtoReflect().Descriptor(), data, partsMax, 0) < 0 {
		return errParts
	}
	if err := proto.Unmarshal(data, message); err != nil {
		return errors.New(clip(err.Error()))
	}
	return known("request", message)
}

// parts returns how many of the parts that are left remain after those in data, or less than zero. It stops at what is
// no message: whoever reads it will say so.
func parts(d protoreflect.MessageDescriptor, data []byte, left, depth int) int {
	for len(data) > 0 && left >= 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return left
		}
		data = data[n:]
		if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
			return left
		}
		field := d.Fields().ByNumber(number)
		if kind == protowire.BytesType && field != nil && field.Message() != nil {
			left--
			inner, _ := protowire.ConsumeBytes(data)
			if depth++; depth > protowire.DefaultRecursionLimit {
				return -1
			}
			left = parts(field.Message(), inner, left, depth)
			depth--
		}
		data = data[n:]
	}
	return left
}
