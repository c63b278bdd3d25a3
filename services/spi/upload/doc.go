// Package upload brings the photographs of whole folders, such as a device's memory card, to a server over a bad line. It is
// the engine of `spi upload`, and may be used by other programs that move images.
//
// [Uploader.Run] walks the folders, asks the server in batches of thousands which of the images it has, and uploads the
// others, a few at a time. What it promises:
//
//   - An image counts as done once the server has named its md5, in the reply of the upload or when it was asked.
//   - A run may be killed at any time: the next one asks the server again and goes on. No file is read a second time to know
//     its md5, as long as its size and time are the same: a journal keeps them, one for each server.
//   - One bad file, or one conflict, is reported, and the rest goes on.
//   - A server or a line that is away is waited for, [Options.GiveUpAfter] at most. What cannot get better, such as a wrong
//     password, ends the run at once.
//   - Memory is bounded: files are streamed, lists are not held.
//
// It may import services/spi, services/kit and, alone, bbolt and fsnotify.
package upload
