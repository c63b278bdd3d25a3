// Package webapp is the web viewer: sessions, the front end's files and a way through to the API. New and Run are all that
// other modules may use of it.
package webapp
