package spi

import "strings"

// BundleSuffixes are the ends of the names of files that ML bundles serve.
var BundleSuffixes = []string{".yaml", ".yml", "model_final.pth", ".onnx", ".safetensors", ".svg", ".jpeg", ".jpg", ".txt", ".db"}

// ServedInBundles says whether a file of that name can be pulled from a bundle.
func ServedInBundles(key string) bool {
	for _, suffix := range BundleSuffixes {
		if strings.HasSuffix(key, suffix) {
			return true
		}
	}
	return false
}

// BundlePart says which files of an ML bundle are meant.
type BundlePart string

// The parts.
const (
	WholeBundle BundlePart = "all"
	BundleData  BundlePart = "data"  // the folders data and config
	BundleModel BundlePart = "model" // the folders output and config
)

// BundleFile is a file of an ML bundle on the server.
type BundleFile struct {
	Key   string  `json:"key"` // its path in the bundle, with slashes
	MD5   string  `json:"md5"`
	MTime float64 `json:"mtime"` // seconds since the epoch
	Path  string  `json:"path"`  // its key in the bucket
	URL   string  `json:"url"`   // presigned
}

// NewBundleFile is a file that a client would upload.
type NewBundleFile struct {
	BundleName string  `json:"bundle_name"`
	Key        string  `json:"key"`
	MD5        string  `json:"md5"`
	MTime      float64 `json:"mtime"`
}

// BundleUpload is a file that the server wants, and how to upload it: a form of all the fields to URL, then the file as the
// field "file".
type BundleUpload struct {
	NewBundleFile
	URL struct {
		URL    string            `json:"url"`
		Fields map[string]string `json:"fields"`
	} `json:"url"`
}
