package upload_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
	"github.com/sticky-pi/sticky-pi-server/services/spi/spitest"
	"github.com/sticky-pi/sticky-pi-server/services/spi/upload"
)

// exampleServer stands for a server that has no image yet and takes every one.
func exampleServer() *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /get_token", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"expiration":4102444800,"token":"token"}`)
	})
	mux.HandleFunc("POST /get_images/metadata", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "[]") })
	mux.HandleFunc("POST /_put_new_images", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1 << 20); err != nil {
			return
		}
		for name := range r.MultipartForm.File {
			_ = json.NewEncoder(w).Encode([]map[string]string{{
				"device": name[:8], "datetime": name[9:28], "md5": r.FormValue(name + ".md5"),
			}})
		}
	})
	return httptest.NewServer(mux)
}

// A card with one photograph and a file that has a name of its own.
func Example() {
	server := exampleServer()
	defer server.Close()
	card, err := os.MkdirTemp("", "card-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(card) //nolint:errcheck // a temporary folder
	photo := spitest.JPEG(spitest.Photo{Width: 64, Height: 48})
	for _, name := range []string{"5c173ff2.2020-06-20_21-33-24.jpg", "holiday.jpg"} {
		if err := os.WriteFile(filepath.Join(card, name), photo, 0o600); err != nil {
			fmt.Println(err)
			return
		}
	}

	client, err := spi.New(server.URL, spi.WithPassword("field1", "correct horse"), spi.WithBadLine())
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := upload.New(client, upload.Options{
		Server:  server.URL,
		Journal: filepath.Join(card, ".journal"), // left out, it is in the user's folder of caches
		OnOutcome: func(o upload.Outcome) {
			if o.Action == upload.Failed {
				fmt.Println(filepath.Base(o.Path), o.Code)
			}
		},
	}).Run(context.Background(), card)
	fmt.Println(report.Uploaded, "uploaded", report.Failed, "failed", err)
	// Output:
	// holiday.jpg bad_name
	// 1 uploaded 1 failed <nil>
}
