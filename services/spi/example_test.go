package spi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// exampleServer stands for a server: it has one image, and gives every user a token.
func exampleServer() *httptest.Server {
	const image = `{"alt":null,"api_user":"field1","api_version":"3.0.0","bat":null,"but":null,"datetime":"2020-06-20T21:33:24Z",` +
		`"datetime_created":"2020-06-22T09:12:40Z","device":"5c173ff2","device_version":null,"height":1944,"hum":76.8,"id":1,"lat":null,` +
		`"lng":null,"lum":null,"md5":"101a0e3e2f58188b3e2ffc1057316c13","no_flash_bv":2.36,"no_flash_exposure_time":0.023,` +
		`"no_flash_iso":100,"no_flash_shutter_speed":5.4,"temp":21.9,"url":"","width":2592}`
	reply := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, body)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("POST /get_token", reply(200, `{"expiration":4102444800,"token":"token"}`))
	mux.Handle("POST /get_image_series/metadata", reply(200, "["+image+"]"))
	mux.Handle("POST /get_images/metadata", reply(200, "["+image+"]"))
	mux.Handle("POST /_put_new_images", reply(409, `{"error":{"code":"conflict","message":"it is there already"}}`))
	mux.Handle("POST /put_users", reply(403, `{"error":{"code":"forbidden","message":"user \"field1\" is read-write"}}`))
	return httptest.NewServer(mux)
}

// The images of one day, of all devices. They are given as they arrive: there may be a million.
func ExampleClient_GetImageSeries() {
	server := exampleServer()
	defer server.Close()
	client, err := spi.New(server.URL, spi.WithPassword("field1", "correct horse"))
	if err != nil {
		fmt.Println(err)
		return
	}
	day := time.Date(2020, 6, 20, 0, 0, 0, 0, time.UTC)
	series := spi.Series{Device: "%", Start: spi.Datetime{Time: day}, End: spi.Datetime{Time: day.AddDate(0, 0, 1)}}
	for image, err := range client.GetImageSeries(context.Background(), spi.Metadata, series) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %s %.1f °C\n", image.Device, spi.FormatDatetime(image.Datetime.Time, spi.DateV2), *image.Temp)
	}
	// Output: 5c173ff2 2020-06-20T21:33:24Z 21.9 °C
}

// An image that the server has already, with the same bytes, counts as uploaded.
func ExampleClient_PutImage() {
	server := exampleServer()
	defer server.Close()
	client, err := spi.New(server.URL, spi.WithPassword("field1", "correct horse"))
	if err != nil {
		fmt.Println(err)
		return
	}
	file := spi.FileOf("5c173ff2.2020-06-20_21-33-24.jpg", []byte("a picture"))
	image, err := client.PutImage(context.Background(), file)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(image.ID, image.MD5)
	// Output: 1 101a0e3e2f58188b3e2ffc1057316c13
}

// Errors are of one type; its code says what kind of mistake it is.
func ExampleError() {
	server := exampleServer()
	defer server.Close()
	client, err := spi.New(server.URL, spi.WithPassword("field1", "correct horse"))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.PutUsers(context.Background(), spi.NewUser{Username: "field2", Password: "battery staple"})
	var e *spi.Error
	if errors.As(err, &e) {
		fmt.Println(e.Code, e.Code.Status(), e.Message)
	}
	// Output: forbidden 403 user "field1" is read-write
}

func ExampleFormatDatetime() {
	t, format, err := spi.ParseDatetime("2020-06-20_21-33-24")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(*format == spi.DateV1, spi.FormatDatetime(t, spi.DateV2))
	// Output: true 2020-06-20T21:33:24Z
}
