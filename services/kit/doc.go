// Package kit and the packages below it are what every service shares: configuration, logging, the life of an HTTP
// server, health, metrics, build information, what a JPEG says of itself, the embedded S3 server and the real servers that tests
// start. They know
// nothing of images, users or devices, and import nothing else of this project.
package kit
