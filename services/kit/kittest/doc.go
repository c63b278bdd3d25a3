// Package kittest starts real servers for tests: MariaDB and an S3 server (versitygw), each a process of its own on a free
// loopback port with temporary data, that a test may stop and start again. A test is skipped, with the reason, where the
// server is neither installed nor can be had.
//
// It may import the drivers of those servers, nothing of this project, and only tests import it.
package kittest
