package httpapi

import (
	"sync"

	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// Bounds of the memory that the elements of JSON lists take.
const (
	listBytes     = 256 << 20         // of all requests together
	userListBytes = listBytes / 4 * 3 // of those of one user
	listStep      = 1 << 20           // bytes that are asked for at a time; the first so many of each request are free
	elementMemory = 600               // bytes that an element costs beside its text, from its fields to its place in a query's plan
)

// listRoom is what lists may take of the memory: of each user a part, so that who sends or reads slowly keeps out nobody but
// himself. A request that finds none left is refused rather than kept waiting: others that hold some may be waiting as well.
type listRoom struct {
	most, userMost int64 // bytes

	mu    sync.Mutex
	held  int64
	users map[int64]int64 // bytes that each holds; who holds none is not in it
}

func newListRoom(most, userMost int64) *listRoom {
	return &listRoom{most: most, userMost: userMost, users: make(map[int64]int64)}
}

// step takes one more step for the user.
func (l *listRoom) step(user int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.users[user]+listStep > l.userMost:
		return spi.Errorf(spi.CodeRateLimited, "this user's requests hold as many elements as one user's may: wait for them to end, or send fewer")
	case l.held+listStep > l.most:
		return spi.Errorf(spi.CodeUnavailable, "the server is busy with other requests of many elements: try again, or send fewer")
	}
	l.held += listStep
	l.users[user] += listStep
	return nil
}

func (l *listRoom) giveBack(user, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held -= bytes
	if l.users[user] -= bytes; l.users[user] == 0 {
		delete(l.users, user)
	}
}

// budget is what a request holds of the room.
type budget struct {
	room *listRoom
	user int64
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
	if err := b.room.step(b.user); err != nil {
		return err
	}
	b.got += listStep
	return nil
}

// hold gives the user's request a budget; the returned function ends it.
func (a *api) hold(c *gin.Context, user int64) (done func()) {
	b := &budget{room: a.lists, user: user}
	c.Set(budgetKey, b)
	return func() { a.lists.giveBack(user, b.got) }
}
