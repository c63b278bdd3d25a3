package main

import "context"

type uploadCmd struct{}

func (uploadCmd) Run(_ context.Context, _ *app) error {
	return &fault{status: exitFailed, text: "this build cannot upload"}
}
