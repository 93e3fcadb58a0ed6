package demo

import (
	"bytes"
	"context"
	"errors"
)

// Receivers are one Receiver for each sink of a demo, in the order of the
// sinks: what is wrong with one of them leaves the others alone.
type Receivers []*Receiver

// StartReceivers starts a receiver for the endpoint of each sink. The options'
// own endpoints and address are not used.
func StartReceivers(sinks []Sink, o ReceiverOptions) (Receivers, error) {
	all := make(Receivers, 0, len(sinks))
	o.Address = ""
	for _, s := range sinks {
		o.Endpoints = []Endpoint{s.Endpoint}
		r, err := StartReceiver(o)
		if err != nil {
			return nil, errors.Join(err, all.Close(context.Background()))
		}
		all = append(all, r)
	}
	return all, nil
}

// CA are the certificates, in PEM, that clients have to trust.
func (r Receivers) CA() []byte {
	var b bytes.Buffer
	for _, one := range r {
		b.Write(one.CA())
	}
	return b.Bytes()
}

// Mend makes all of them well.
func (r Receivers) Mend() {
	for _, one := range r {
		one.Mend()
	}
}

// Close stops all of them, as Receiver.Close does.
func (r Receivers) Close(ctx context.Context) error {
	errs := make([]error, 0, len(r))
	for _, one := range r {
		errs = append(errs, one.Close(ctx))
	}
	return errors.Join(errs...)
}
