// Package kittest starts real servers for tests: a private MariaDB and a private S3. It is imported by tests alone, and
// imports nothing of this project but kit.
package kittest
