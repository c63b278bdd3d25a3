package spi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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
	mux.Handle("POST /get_images/image", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, "["+strings.Replace(image, `"url":""`, `"url":"http://`+r.Host+`/picture.jpg"`, 1)+"]")
	}))
	mux.Handle("GET /picture.jpg", reply(200, "a picture"))
	mux.Handle("POST /get_images_to_annotate/image", reply(200, "["+image+"]"))
	mux.Handle("POST /put_uid_annotations", reply(200, `[{"algo_name":"my-detector","algo_version":"1750000000-0123456789abcdef0123456789abcdef",`+
		`"api_user":"field1","api_version":"3.0.0","datetime_created":"2020-06-22T10:00:00Z","id":7,"json":"","n_objects":1,"parent_image_id":1}]`))
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

// A picture is behind the URL that its image is given with. What is read is kept once it is whole.
func ExampleClient_Fetch() {
	server := exampleServer()
	defer server.Close()
	client, err := spi.New(server.URL, spi.WithPassword("field1", "correct horse"))
	if err != nil {
		fmt.Println(err)
		return
	}
	key := spi.ImageKey{Device: "5c173ff2", Datetime: spi.Datetime{Time: time.Date(2020, 6, 20, 21, 33, 24, 0, time.UTC)}}
	for image, err := range client.GetImages(context.Background(), spi.FullImage, []spi.ImageKey{key}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		var picture []byte
		err = client.Fetch(context.Background(), image.URL, func(body io.Reader, _ int64) (err error) {
			picture, err = io.ReadAll(body)
			return err
		})
		fmt.Println(len(picture), "bytes", err)
	}
	// Output: 9 bytes <nil>
}

// A detector: it leases images, looks at each, and answers with what it found.
func ExampleClient_LeaseImages() {
	server := exampleServer()
	defer server.Close()
	client, err := spi.New(server.URL, spi.WithPassword("field1", "correct horse"))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	const name, version = "my-detector", "1750000000-0123456789abcdef0123456789abcdef"
	always := spi.Series{Device: "%", Start: spi.Datetime{Time: time.Unix(0, 0)}, End: spi.Datetime{Time: time.Now().AddDate(1, 0, 0)}}
	images, err := client.LeaseImages(ctx, spi.FullImage, spi.WorkRequest{Series: always, AlgoName: name, AlgoVersion: version, Limit: 8})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, image := range images {
		document, err := json.Marshal(spi.AnnotationDocument{
			Annotations: []spi.Outline{{Contour: spi.Contour{{{10, 10}}, {{20, 10}}, {{15, 20}}}, Name: "insect", StrokeColour: "#0000ff", FillColour: "#ff0000"}},
			Metadata:    spi.AnnotationMetadata{AlgoName: name, AlgoVersion: version, Device: image.Device, Datetime: image.Datetime, MD5: image.MD5},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		rows, err := client.PutAnnotations(ctx, document)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("image", rows[0].ParentImageID, "has", rows[0].NObjects, "insects")
	}
	// Output: image 1 has 1 insects
}

// A program that keeps its token between two runs needs no password in the second one.
func ExampleWithSavedToken() {
	server := exampleServer()
	defer server.Close()
	var token spi.Token // of a file, in a program
	var renewAt time.Time
	save := func(t spi.Token, at time.Time) { token, renewAt = t, at }

	first, err := spi.New(server.URL, spi.WithPassword("field1", "correct horse"), spi.WithSavedToken(token, renewAt, save))
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := first.GetToken(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	second, err := spi.New(server.URL, spi.WithSavedToken(token, renewAt, save))
	if err != nil {
		fmt.Println(err)
		return
	}
	day := time.Date(2020, 6, 20, 0, 0, 0, 0, time.UTC)
	images, err := spi.Collect(second.GetImageSeries(context.Background(), spi.Metadata,
		spi.Series{Device: "5c173ff2", Start: spi.Datetime{Time: day}, End: spi.Datetime{Time: day.AddDate(0, 0, 1)}}))
	fmt.Println(token.Token, len(images), err)
	// Output: token 1 <nil>
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
