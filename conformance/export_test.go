package conformance

import "context"

// LoadCases reads cases from another file system.
var LoadCases = load

// Check starts a client's command.
func (c *Client) Check(ctx context.Context) error { return c.check(ctx) }
