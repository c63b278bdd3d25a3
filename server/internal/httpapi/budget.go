package httpapi

import (
	"github.com/gin-gonic/gin"
	"golang.org/x/sync/semaphore"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Bounds of the memory that the elements of JSON lists take.
const (
	listBytes     = 256 << 20 // of all requests together
	listStep      = 1 << 20   // bytes that are asked for at a time; the first so many of each request are free
	elementMemory = 600       // bytes that an element costs beside its text, from its fields to its place in a query's plan
)

// budget is what a request holds of listBytes. A request that finds none left is refused rather than kept waiting: others
// that hold some may be waiting as well.
type budget struct {
	all  *semaphore.Weighted
	used int64
	got  int64
}

const budgetKey = "sticky-pi budget"

// held notes that the request keeps an element of so many bytes.
func held(c *gin.Context, size int) error {
	v, ok := c.Get(budgetKey)
	if !ok {
		return nil
	}
	b := v.(*budget)
	b.used += int64(size) + elementMemory
	if b.used <= b.got+listStep {
		return nil
	}
	if !b.all.TryAcquire(listStep) {
		return spi.Errorf(spi.CodeUnavailable, "the server is busy with other requests of many elements: try again, or send fewer")
	}
	b.got += listStep
	return nil
}

// hold gives the request a budget; the returned function ends it.
func (a *api) hold(c *gin.Context) (done func()) {
	b := &budget{all: a.lists}
	c.Set(budgetKey, b)
	return func() { a.lists.Release(b.got) }
}
