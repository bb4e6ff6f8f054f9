package nng

import "context"

// #include "http_cgo.h"
import "C"

// A transaction is one request and its response in the hands of C. It reserves
// both messages until C has let go of them.
type transaction struct {
	op       *op
	req      *Request
	res      *Response
	giveBack func(result Errno) // called at the end
}

func newTransaction(req *Request, res *Response, giveBack func(Errno)) (*transaction, error) {
	if req == nil || res == nil {
		return nil, refuse("transact", "", ErrInvalid, "the request or the response is nil")
	}
	if err := req.acquire("transact"); err != nil {
		return nil, err
	}
	if err := req.sendable("transact"); err != nil {
		req.release(false)
		return nil, err
	}
	if err := res.Reset(); err != nil {
		req.release(false)
		return nil, err
	}
	if err := res.acquire("transact"); err != nil {
		req.release(false)
		return nil, err
	}
	t := &transaction{req: req, res: res, giveBack: giveBack}
	o, rv := newOp()
	if rv != 0 {
		req.release(false)
		res.release(false)
		return nil, &OpError{Op: "transact", Err: rv}
	}
	t.op = o
	return t, nil
}

// wait returns when the transaction is over. Should nng lose its cancellation, the
// messages come free in the background when it ends after all.
func (t *transaction) wait(ctx context.Context, closing <-chan struct{}) error {
	result, ok := t.op.wait(ctx, closing)
	if ok {
		t.end()
	} else {
		go func() {
			<-t.op.done
			t.end()
		}()
	}
	return check("transact", "", int(result))
}

func (t *transaction) end() {
	result := t.op.result
	t.op.free()
	t.req.release(true)
	t.res.release(false)
	t.giveBack(result)
}
