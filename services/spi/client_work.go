package spi

import (
	"context"
	"net/url"
)

// LeaseImages leases images to the caller for 60 minutes, at most 64 a call: see [WorkRequest]. Images without any annotation
// of the algorithm come before those with an outdated one, the newest first in each. An annotation ([Client.PutAnnotations])
// or a failure ([Client.ReportFailures]) ends a lease. what is as in [Client.GetImages].
//
// Where a reply is lost and the request sent again, the images of the first one stay leased for the hour.
func (c *Client) LeaseImages(ctx context.Context, what What, requests ...WorkRequest) ([]Image, error) {
	return call[Image](ctx, c, "get_images_to_annotate/"+url.PathEscape(string(what)), requests, false)
}

// ReportFailures tells that images could not be annotated, which ends their leases. After three failures an image is not
// leased any more. They are noted one after the other: those before one that is refused stay. CodeNotFound where an image is
// not there.
//
// It is sent again only where the server refused it (429, 503), since a failure that is told twice counts twice.
func (c *Client) ReportFailures(ctx context.Context, failures ...FailureReport) ([]Failure, error) {
	return call[Failure](ctx, c, "report_uid_failure", failures, true)
}

// GetFailures gives the images that failed three times, ordered by device, datetime, algorithm. All of the series name the
// same algorithm, or none.
func (c *Client) GetFailures(ctx context.Context, series ...FailureSeries) ([]Failure, error) {
	return call[Failure](ctx, c, "get_uid_failures", series, false)
}

// RetryFailures lets those images be leased again, and gives them. Where a reply is lost and the request sent again, those
// of the first one are not among those given.
func (c *Client) RetryFailures(ctx context.Context, series ...FailureSeries) ([]Failure, error) {
	return call[Failure](ctx, c, "retry_uid_failures", series, false)
}

// GetBacklog counts what the algorithms of those names have to do, or all algorithms where there is none; ordered by name.
func (c *Client) GetBacklog(ctx context.Context, algoNames ...string) ([]Backlog, error) {
	type filter struct {
		AlgoName string `json:"algo_name"`
	}
	filters := make([]filter, len(algoNames))
	for i, name := range algoNames {
		filters[i].AlgoName = name
	}
	return call[Backlog](ctx, c, "get_uid_backlog", filters, false)
}
